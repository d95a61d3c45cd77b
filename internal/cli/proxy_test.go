package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestLogLines(t *testing.T) {
	const log = `{"level":"INFO","msg":"starting"}
{"side":"client","code":"200"}
{"level":"WARN","msg":"{\"side\":\"server\",\"code\":\"403\"}"}
plain {"side":"x"}
{"msg":"` + "\x1b" + `[2J"}
`
	for access, want := range map[bool]string{
		true:  "{\"side\":\"client\",\"code\":\"200\"}\n{\"side\":\"server\",\"code\":\"403\"}\n",
		false: strings.ReplaceAll(log, "\x1b", `\x1b`),
	} {
		var out bytes.Buffer
		if err := (&App{Out: &out}).copyLines(strings.NewReader(log), access); err != nil || out.String() != want {
			t.Errorf("access %v: got %q (%v), want %q", access, out.String(), err, want)
		}
	}
}
