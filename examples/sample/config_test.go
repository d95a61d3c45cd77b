package main

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseConfig(t *testing.T) {
	env := map[string]string{"POD_IP": "127.0.0.7", "HOSTNAME": "host", "VERSION": "v1"}
	cfg, err := parseConfig([]string{
		"-http", "9080,9081", "-tcp", "9090", "-udp", "9090", "-service", "bookstore", "-every", "1s",
		"-calls", "/buy=http://bookwarehouse:9080/restock", "-loop", "POST http://bookstore:9080/buy", "-loop", "tcp://bookstore:9090",
	}, func(name string) string { return env[name] }, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	want := &config{
		who: who{Pod: "host", Service: "bookstore", Version: "v1"}, address: "127.0.0.7",
		ports: map[portKind]portList{kindHTTP: {9080, 9081}, kindTCP: {9090}, kindUDP: {9090}},
		calls: chain{"/buy": {"http://bookwarehouse:9080/restock"}},
		loops: targets{{"POST", "http://bookstore:9080/buy"}, {"GET", "tcp://bookstore:9090"}},
		every: time.Second, report: 10 * time.Second, grace: 5 * time.Second,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

func TestParseConfigDefaultsToOneHTTPPort(t *testing.T) {
	cfg, err := parseConfig(nil, func(string) string { return "" }, new(bytes.Buffer))
	if err != nil || !reflect.DeepEqual(cfg.ports, map[portKind]portList{kindHTTP: {9080}}) {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-http 0":                     "not a port number",
		"-http 65536":                 "not a port number",
		"-http 9080 -tcp 9080":        "given twice",
		"-udp 9080,9080":              "given twice",
		"-every 1ms":                  "too short",
		"-report 1ms":                 "too short",
		"-grace -1s":                  "out of range",
		"-loop https://bookstore":     "neither",
		"-loop tcp://bookstore":       "no port",
		"-loop http://":               "no host",
		"-calls buy=http://bookstore": "begins with /",
		"-calls /buy":                 "PATH=URL",
		"-calls /buy=bookstore":       "neither",
		"-https 9443":                 "needs -certificate",
		"9080":                        "unexpected argument",
	} {
		_, err := parseConfig(strings.Fields(args), func(string) string { return "" }, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestHelpShowsHowToUseIt(t *testing.T) {
	var out bytes.Buffer
	_, err := parseConfig([]string{"-help"}, func(string) string { return "" }, &out)
	if !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "/healthz") || !strings.Contains(out.String(), "-greet") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := run(t.Context(), []string{"-http", "x"}, func(string) string { return "" }); err == nil {
		t.Error("a wrong flag starts the server")
	}
}
