package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
)

// reportFile is the file that is signed.
const reportFile = "report.json"

// writeReports writes a report in every form, and signs it where there are keys.
func writeReports(dir string, r *report.Report, by string, keys []*provenance.PrivateKey) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// The envelope of an earlier report does not fit this one.
	envelope := filepath.Join(dir, provenance.EnvelopeOf(reportFile))
	if err := os.Remove(envelope); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, write := range map[string]func() ([]byte, error){"report.yaml": r.YAML, "junit.xml": r.JUnit, "index.html": r.HTML} {
		text, err := write()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	text, err := r.JSON()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, reportFile), text); err != nil || len(keys) == 0 {
		return err
	}
	signed, err := provenance.Sign(reportFile, text, by, keys...)
	if err != nil {
		return err
	}
	return writeFile(envelope, signed)
}

// printReportObject prints a report as its own writers do.
func (a *App) printReportObject(f format, r *report.Report) error {
	write := r.JSON
	if f == formatYAML {
		write = r.YAML
	}
	text, err := write()
	if err != nil {
		return err
	}
	_, err = a.Out.Write(text)
	return err
}
