package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// firstRestart and lastRestart bound the pause before Envoy is started
	// again; one that ran for stableRun starts over with the first.
	firstRestart = 250 * time.Millisecond
	lastRestart  = 15 * time.Second
	stableRun    = 30 * time.Second
	// defaultStopTimeout is how long Envoy may take to end after SIGTERM.
	defaultStopTimeout = 5 * time.Second
	// drainSeconds is how long connections live on whose listener or filter
	// chain was replaced or withdrawn (AC-17 leaves 30 s).
	drainSeconds = 20
)

// Envoy runs and supervises one Envoy process.
type Envoy struct {
	// Binary is the path of the executable.
	Binary string
	// BootstrapPath is a file that Bootstrap made, AdminSocket what it says.
	BootstrapPath, AdminSocket string
	// Concurrency is the number of worker threads; 0 means 1.
	Concurrency int
	// DrainTime is how long a stop waits for open connections to end; 0 means
	// that it does not wait.
	DrainTime time.Duration
	// StopTimeout is how long Envoy may then take to end before it is killed;
	// 0 means five seconds.
	StopTimeout time.Duration
	// LogLevel is Envoy's own ("trace" to "critical"); "" means "warning".
	LogLevel string
	// Logger takes Envoy's log line by line, and what happens to the process;
	// nil means nobody reads it.
	Logger *slog.Logger
	// OnExit is told when Envoy ended though nobody stopped it; nil means
	// nobody wants to know.
	OnExit func(Exit)

	// level, where set, is asked with every start, in place of LogLevel.
	level func() string
}

// Exit tells of an Envoy that ended by itself.
type Exit struct {
	// Err says how, with the last complaint of Envoy's log.
	Err error
	// Ran is how long it had run, RestartIn when it will be started again.
	Ran, RestartIn time.Duration
}

// args are the command line.
func (e *Envoy) args() []string {
	level := e.LogLevel
	if e.level != nil {
		level = e.level()
	}
	if level == "" {
		level = "warning"
	}
	return []string{
		"--config-path", e.BootstrapPath,
		"--concurrency", strconv.Itoa(max(1, e.Concurrency)),
		"--drain-time-s", strconv.Itoa(drainSeconds),
		"--drain-strategy", "immediate",
		// Hot restart needs shared memory by a number that all Envoys of a host
		// compete for, and the agent never uses it.
		"--disable-hot-restart",
		"--log-level", level,
		"--log-format", logFormat,
	}
}

func (e *Envoy) logger() *slog.Logger {
	if e.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Logger
}

// drain asks Envoy to tell its clients to go elsewhere, and waits until nothing
// is in flight or the time is up.
func (e *Envoy) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.DrainTime)
	defer cancel()
	admin := NewAdmin(e.AdminSocket)
	if _, err := admin.Post(ctx, "/drain_listeners?graceful&skip_exit"); err != nil {
		e.logger().Warn("Envoy does not drain", "error", err)
		return
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		busy, err := admin.inFlight(ctx)
		if err != nil || busy <= 0 {
			return
		}
		select {
		case <-ctx.Done():
			e.logger().Warn("Envoy ends with something in flight", "waited", e.DrainTime, "in_flight", busy)
			return
		case <-ticker.C:
		}
	}
}

// logFormat is level, logger and message of each line of Envoy's log.
const logFormat = "%l %n %v"

// maxLine bounds a line of Envoy's log, in bytes; a longer one is cut.
const maxLine = 8 << 10

var logLevels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warning": slog.LevelWarn, "error": slog.LevelError, "critical": slog.LevelError,
}

// lineLogger is the writer that Envoy's output goes to.
type lineLogger struct {
	logger *slog.Logger

	mu        sync.Mutex
	line      []byte
	complaint string
}

func (l *lineLogger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		l.line = append(l.line, part[:min(len(part), maxLine-len(l.line))]...)
		if end < 0 {
			break
		}
		l.emit(string(l.line))
		l.line, p = l.line[:0], p[end+1:]
	}
	return n, nil
}

func (l *lineLogger) emit(line string) {
	if line == "" {
		return
	}
	word, rest, _ := strings.Cut(line, " ")
	level, ok := logLevels[word]
	if !ok {
		// A further line of a message, or one of the C library.
		l.logger.Warn(line)
		return
	}
	component, message, _ := strings.Cut(rest, " ")
	if level >= slog.LevelError {
		l.complaint = message
	}
	l.logger.Log(context.Background(), level, message, "component", component)
}

// explain adds Envoy's last complaint to the error that its process ended with.
func (l *lineLogger) explain(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = errors.New("exit status 0")
	}
	if l.complaint == "" {
		return err
	}
	return errors.New(err.Error() + ": " + l.complaint)
}

// checkBinary refuses what can never be started, so that it is not tried again
// and again.
func (e *Envoy) checkBinary() error {
	info, err := os.Stat(e.Binary)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return errors.New(e.Binary + " is not an executable file")
	}
	return nil
}
