package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/conformance/provenance"
)

// The files of a key pair.
const (
	privateKeyFile = "conformance.key"
	publicKeyFile  = "conformance.pub"
)

func conformanceKeygen(app *App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "keygen --out DIR",
		Short: "Make a key pair for signing reports",
		Long: `Make an Ed25519 key pair: ` + privateKeyFile + `, which signs and which only its owner
can read, and ` + publicKeyFile + `, which others verify with. Both are PEM, and
files that are there already are never overwritten.

Keep the private key out of repositories and give the public one to whoever is
to believe your reports, by a way that they trust.

Exit codes: 0 done; 2 a file is there already or cannot be written.`,
		Example: `  smi conformance keygen --out ~/.config/smi`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := provenance.Generate()
			if err != nil {
				return err
			}
			if err := writeKeys(dir, key); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "private key  %s\npublic key   %s\nkey id       %s\n", filepath.Join(dir, privateKeyFile), filepath.Join(dir, publicKeyFile), key.Public.ID)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "out", "", "`DIR` for the two files; it is made if it is not there")
	_ = cmd.MarkFlagRequired("out")
	_ = cmd.MarkFlagDirname("out")
	return cmd
}

// writeKeys writes both files of a key pair, or none.
func writeKeys(dir string, key *provenance.PrivateKey) error {
	private, err := key.PEM()
	if err != nil {
		return err
	}
	public, err := key.Public.PEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, privateKeyFile)
	if err := writeNew(path, 0o600, private); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, publicKeyFile), 0o644, public); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, mode os.FileMode, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and keys are never overwritten: name another folder, or move it away", path)
	} else if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a key is none, and would be in the way of the next try
	}
	return nil
}

// The bounds of what is read, in bytes: one more than what is taken for a report or
// an envelope, which is refused with its reason then.
const (
	maxReportFile = 64<<20 + 1
	maxKeyFile    = 64 << 10
)

// readUpTo reads the beginning of a file, so that a file without an end does not
// fill the memory.
func readUpTo(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

// readPublicKeys reads the keys of a command line, of which one is needed.
func readPublicKeys(paths []string) ([]*provenance.PublicKey, error) {
	if len(paths) == 0 {
		return nil, UsageErrorf("--key is missing: the public key of somebody whom you believe, such as %s", publicKeyFile)
	}
	return readKeys(paths, provenance.ParsePublicKey)
}

// readKeys reads a key from each file.
func readKeys[K any](paths []string, parse func([]byte) (K, error)) ([]K, error) {
	var keys []K
	for _, path := range paths {
		text, err := readUpTo(path, maxKeyFile)
		if err != nil {
			return nil, err
		}
		key, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func conformanceSign(app *App) *cobra.Command {
	var (
		keys []string
		by   string
	)
	cmd := &cobra.Command{
		Use:   "sign REPORT --key FILE --by NAME",
		Short: "Sign a report that lies here already",
		Long: `Sign a report's JSON file, as smi conformance run does with --sign: for a report
that another program has written, or another machine. The envelope is written
beside it and takes the place of one that is there.

Keys are Ed25519, or ECDSA on P-256 or P-384, in PEM without a password.

Exit codes: 0 done; 2 the arguments make no sense, the file is no report, or a
key cannot be used.`,
		Example: `  smi conformance sign report.json --key conformance.key --by Example`,
		Args:    oneReport,
		RunE: func(_ *cobra.Command, args []string) error {
			if !strings.HasSuffix(args[0], provenance.ReportSuffix) || strings.HasSuffix(args[0], provenance.EnvelopeSuffix) {
				return UsageErrorf("%s: what is signed is a report's JSON, and its name ends with %s: sign report.json, and publish its other forms as they are", args[0], provenance.ReportSuffix)
			}
			signers, err := readKeys(keys, provenance.ParsePrivateKey)
			if err != nil {
				return err
			}
			text, err := readUpTo(args[0], maxReportFile)
			if err != nil {
				return err
			}
			envelope, err := provenance.Sign(filepath.Base(args[0]), text, by, signers...)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			to := provenance.EnvelopeOf(args[0])
			if err := writeFile(to, envelope); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "signed %s: %s\n", printable(args[0]), printable(to))
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "`FILE` with a private key; may be repeated")
	cmd.Flags().StringVar(&by, "by", "", "`NAME` of who ran the suite")
	_ = cmd.MarkFlagRequired("key")
	_ = cmd.MarkFlagRequired("by")
	return cmd
}

func oneReport(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return UsageErrorf("one report is needed, such as report.json")
	}
	return nil
}

func addKeyFlag(cmd *cobra.Command, paths *[]string, usage string) {
	cmd.Flags().StringArrayVar(paths, "key", nil, usage+"; may be repeated, and one that has signed is enough")
	_ = cmd.MarkFlagFilename("key", "pub", "pem")
}

func conformanceVerify(app *App) *cobra.Command {
	var (
		envelope string
		keys     []string
	)
	format := formatTable
	cmd := &cobra.Command{
		Use:   "verify REPORT --key FILE...",
		Short: "Verify who stands behind a report, and that it is unchanged",
		Long: `Verify a report's JSON file against its envelope: that a key which you give has
signed it, that the statement is about a conformance run, and that the file is
the one that was signed, byte for byte.

Exit codes: 0 it verifies; 1 it does not, with the reason; 2 the arguments make
no sense, or a file cannot be read.`,
		Example: `  smi conformance verify report.json --key conformance.pub

  # With an envelope that lies elsewhere, for a program
  smi conformance verify report.json --envelope signed/report.dsse.json --key conformance.pub -o json`,
		Args: oneReport,
		RunE: func(_ *cobra.Command, args []string) error { return app.verifyReport(format, args[0], envelope, keys) },
	}
	addKeyFlag(cmd, &keys, "`FILE` with a public key in PEM form")
	cmd.Flags().StringVar(&envelope, "envelope", "", "`FILE` with the envelope (default beside the report, ending with "+provenance.EnvelopeSuffix+")")
	addFormatFlag(cmd, &format)
	return cmd
}

// verification is what smi conformance verify answers.
type verification struct {
	Verified bool `json:"verified"`
	// Reason says why not.
	Reason string `json:"reason,omitempty"`
	// Signers are the ids of the given keys that have signed.
	Signers   []string              `json:"signers,omitempty"`
	Statement *provenance.Statement `json:"statement,omitempty"`
}

func (a *App) verifyReport(f format, path, envelope string, keyPaths []string) error {
	keys, err := readPublicKeys(keyPaths)
	if err != nil {
		return err
	}
	if envelope == "" {
		envelope = provenance.EnvelopeOf(path)
	}
	file, err := readUpTo(path, maxReportFile)
	if err != nil {
		return err
	}
	sealed, err := readUpTo(envelope, maxReportFile)
	if err != nil {
		return fmt.Errorf("the envelope: %w", err)
	}
	var answer verification
	if verified, err := provenance.Verify(sealed, file, keys...); err != nil {
		answer.Reason = err.Error()
	} else {
		answer.Verified, answer.Statement = true, verified.Statement
		for _, key := range verified.Signers {
			answer.Signers = append(answer.Signers, key.ID)
		}
	}
	if f == formatTable {
		a.printVerification(path, &answer)
	} else if err := a.printObject(f, &answer); err != nil {
		return err
	}
	if !answer.Verified {
		return ErrNo
	}
	return nil
}

func (a *App) printVerification(path string, v *verification) {
	if !v.Verified {
		fmt.Fprintf(a.Out, "%s %s: %s\n", a.paint(red, "not verified"), printable(path), printable(v.Reason))
		return
	}
	p := v.Statement.Predicate
	fmt.Fprintf(a.Out, "%s %s\n", a.paint(green, "verified"), printable(path))
	rows := table{
		{{text: "mesh"}, {text: p.Mesh.Name + " " + p.Mesh.Version}},
		{{text: "ran on"}, {text: p.Platform}},
		{{text: "run by"}, {text: p.By}},
		{{text: "when"}, {text: p.Started.UTC().Format(time.RFC3339)}},
		{{text: "suite"}, {text: p.Suite.Version + ", digest " + p.Suite.Digest}},
		{{text: "cases"}, {text: p.Summary.String()}},
	}
	for _, id := range v.Signers {
		rows = append(rows, row{{text: "signed"}, {text: "by the key " + id}})
	}
	fmt.Fprint(a.Out, rows.render(a, "  "))
}
