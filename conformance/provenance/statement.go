package provenance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/smi-project/smi/conformance/report"
)

// The types that name the formats.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	// PredicateType is this project's own. Its Go form is Predicate.
	PredicateType = "https://github.com/smi-project/smi/conformance/v1alpha1"
)

// Statement is an in-toto Statement about a report.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is the file that a Statement is about. Its name is the signer's; the
// digest is what counts.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Predicate is what the signer says of the report: who made it, of what, where,
// with what and when.
type Predicate struct {
	// By is who ran the suite, in the signer's own words.
	By       string         `json:"by"`
	Mesh     Mesh           `json:"mesh"`
	Platform string         `json:"platform"`
	Suite    Suite          `json:"suite"`
	Summary  report.Summary `json:"summary"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished"`
}

// Mesh is what was tested.
type Mesh struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Suite is what tested it.
type Suite struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // SHA-256, in hexadecimal
}

// describe is the predicate that fits a report.
func describe(r *report.Report, by string) Predicate {
	return Predicate{
		By: by, Mesh: Mesh{r.Mesh.Name, r.Mesh.Version}, Platform: r.Platform, Suite: Suite{r.Suite.Version, r.Suite.Digest},
		Summary: r.Summary, Started: r.Started.UTC(), Finished: r.Started.UTC().Add(time.Duration(r.Duration * float64(time.Second))),
	}
}

// Sign returns the envelope of a report's file, as JSON. The name is the file's,
// by says who ran the suite; each key signs.
func Sign(name string, file []byte, by string, keys ...*PrivateKey) ([]byte, error) {
	if by == "" || len(keys) == 0 {
		return nil, errors.New("signing takes a key, and the name of who ran the suite")
	}
	r, err := parse(file)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(Statement{
		Type: StatementType, PredicateType: PredicateType, Predicate: describe(r, by),
		Subject: []Subject{{Name: name, Digest: map[string]string{"sha256": digest(file)}}},
	})
	if err != nil {
		return nil, err
	}
	envelope, err := seal(PayloadType, payload, keys)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(envelope, "", "  ")
	return append(text, '\n'), err
}

// parse reads a report that is signed: its JSON, which every reader reads alike.
func parse(file []byte) (*report.Report, error) {
	r, err := report.Parse(file)
	if err == nil && !json.Valid(file) {
		return nil, errors.New("the report is in YAML, and its JSON is what is signed")
	}
	return r, err
}

// Verified is a report that somebody stands behind.
type Verified struct {
	Report    *report.Report
	Statement *Statement
	// Signers are those of the given keys that signed, at least one.
	Signers []*PublicKey
}

// Verify holds an envelope and the file of a report against public keys, of which
// one is enough. The error says in one line what does not fit.
func Verify(envelope, file []byte, keys ...*PublicKey) (*Verified, error) {
	if len(keys) == 0 {
		return nil, errors.New("without a public key nothing can be verified")
	}
	e, err := parseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	payload, signers, err := e.open(keys)
	if err != nil {
		return nil, err
	}
	if e.PayloadType != PayloadType {
		return nil, fmt.Errorf("the envelope's payload is %q, and %q is expected", e.PayloadType, PayloadType)
	}
	statement, err := parseStatement(payload)
	if err != nil {
		return nil, err
	}
	if err := statement.about(file); err != nil {
		return nil, err
	}
	r, err := parse(file)
	if err != nil {
		return nil, fmt.Errorf("the signed file: %w", err)
	}
	if want := describe(r, statement.Predicate.By); !statement.Predicate.equal(&want) {
		return nil, fmt.Errorf("the statement is about a run of %s (%s), and the report says something else of its mesh, platform, suite, time or counts",
			statement.Predicate.Mesh.Name, statement.Predicate.Mesh.Version)
	}
	return &Verified{Report: r, Statement: statement, Signers: signers}, nil
}

// parseStatement reads a statement that was signed. As in-toto asks, fields that
// it does not know are passed over.
func parseStatement(payload []byte) (*Statement, error) {
	var head struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
	}
	if err := decode(payload, &head); err != nil {
		return nil, fmt.Errorf("the envelope holds no in-toto Statement: %w", err)
	}
	if head.Type != StatementType {
		return nil, fmt.Errorf("the statement's type is %q, and %q is expected", head.Type, StatementType)
	}
	if head.PredicateType != PredicateType {
		return nil, fmt.Errorf("the predicate's type is %q, and %q is expected: the signature is about something else than a conformance run", head.PredicateType, PredicateType)
	}
	s := new(Statement)
	if err := decode(payload, s); err != nil {
		return nil, fmt.Errorf("the statement is not of its type: %w", err)
	}
	return s, nil
}

// about tells whether the statement is about the file.
func (s *Statement) about(file []byte) error {
	got, stated := digest(file), ""
	for _, subject := range s.Subject {
		switch sum := subject.Digest["sha256"]; sum {
		case "":
		case got:
			return nil
		default:
			stated = sum
		}
	}
	switch {
	case stated == "":
		return errors.New("the statement names no file by its sha256")
	case len(s.Subject) > 1:
		return fmt.Errorf("the report was changed after signing, or the envelope is of others: its sha256 is %.16q, which none of the statement's %d files has", got, len(s.Subject))
	default:
		return fmt.Errorf("the report was changed after signing, or the envelope is another report's: its sha256 begins with %.16q, and what was signed with %.16q", got, stated)
	}
}

func (p *Predicate) equal(q *Predicate) bool {
	return p.Mesh == q.Mesh && p.Platform == q.Platform && p.Suite == q.Suite && p.Summary == q.Summary &&
		p.Started.Equal(q.Started) && p.Finished.Equal(q.Finished)
}

func digest(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}
