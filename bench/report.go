package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/smi-project/smi/internal/tool"
)

// report prints what was measured, for people.
type report struct {
	out     io.Writer
	started time.Time
	// calm is the load of the machine before anything was measured.
	calm string
}

func newReport(out io.Writer) *report { return &report{out: out, started: time.Now()} }

// machine says what the figures were measured on.
func (r *report) machine() {
	r.calm = load()
	fmt.Fprintf(r.out, "%s, %d cores, %s memory, Linux %s\n", processor(), runtime.NumCPU(), memory(), kernel())
	envoy := "none"
	if path, err := tool.Envoy(""); err == nil {
		envoy = envoyVersion(path)
	}
	fmt.Fprintf(r.out, "%s %s/%s, Envoy %s, %s UTC, load before: %s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, envoy, r.started.UTC().Format("2006-01-02 15:04"), r.calm)
}

func (r *report) title(name, about string) {
	fmt.Fprintf(r.out, "\n%s: %s\n%s\n", name, about, strings.Repeat("=", len(name)+len(about)+2))
}

func (r *report) note(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// end says how long it took and how busy the machine was, which tells how much
// the figures can be trusted.
func (r *report) end() {
	fmt.Fprintf(r.out, "\ntook %s; load before: %s, after: %s\n", time.Since(r.started).Round(time.Second), r.calm, load())
}

// table prints rows under a head, in columns.
func (r *report) table(head []string, rows [][]string) {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	fmt.Fprintln(r.out)
}

// sample is a figure that was measured several times.
type sample []float64

func (s *sample) add(v float64)           { *s = append(*s, v) }
func (s *sample) addTime(d time.Duration) { s.add(d.Seconds()) }

// quantile of a sample that need not be sorted; 0 where there is none.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) median() float64 { return s.quantile(0.5) }

// spread writes the median and, in brackets, the least and the greatest.
func (s sample) spread(format func(float64) string) string {
	if len(s) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", format(s.median()), format(slices.Min(s)), format(slices.Max(s)))
}

// ms, us and so on write what is measured in seconds, bytes or nothing.
func ms(v float64) string     { return fmt.Sprintf("%.1f ms", v*1e3) }
func us(v float64) string     { return fmt.Sprintf("%.0f µs", v*1e6) }
func ratio(v float64) string  { return fmt.Sprintf("%.2f", v) }
func kB(v float64) string     { return fmt.Sprintf("%.1f kB", v/1e3) }
func mb(v float64) string     { return fmt.Sprintf("%.0f MB", v/1e6) }
func sec(v float64) string    { return fmt.Sprintf("%.1f s", v) }
func perSec(v float64) string { return fmt.Sprintf("%.0f/s", v) }
func count(v float64) string  { return fmt.Sprintf("%.0f", v) }

func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(content))[0]
}

func kernel() string {
	content, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}

func processor() string { return field("/proc/cpuinfo", "model name") }

func memory() string {
	var kilo float64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%f kB", &kilo); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GB", kilo/1e6)
}

// field is the value of the first line of that name in a file of the kernel's.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
