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
	// What cannot be made again from the others comes first.
	text, err := r.JSON()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, reportFile), text); err != nil {
		return err
	}
	if len(keys) > 0 {
		signed, err := provenance.Sign(reportFile, text, by, keys...)
		if err != nil {
			return err
		}
		if err := writeFile(envelope, signed); err != nil {
			return err
		}
	}
	for _, form := range []struct {
		name  string
		write func() ([]byte, error)
	}{{"report.yaml", r.YAML}, {"junit.xml", r.JUnit}, {"index.html", r.HTML}} {
		text, err := form.write()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, form.name), text); err != nil {
			return err
		}
	}
	return nil
}

// tryFolder makes a folder, and sees that files can be written to it: a run takes
// too long to find out afterwards.
func tryFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".smi-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
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
