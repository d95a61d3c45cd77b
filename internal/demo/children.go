//go:build linux

package demo

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// children are the processes whose parent is this one, as "pid name".
func children() []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []string{"/proc cannot be read: " + err.Error()}
	}
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // It ended while we looked.
		}
		// The name is in parentheses and may hold anything; the parent is the
		// second field behind it.
		text := string(stat)
		end := strings.LastIndexByte(text, ')')
		fields := strings.Fields(text[end+1:])
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, fmt.Sprintf("%d %s", pid, strings.TrimPrefix(text[strings.IndexByte(text, '('):end], "(")))
		}
	}
	return found
}
