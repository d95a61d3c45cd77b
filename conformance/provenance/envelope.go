package provenance

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	kjson "sigs.k8s.io/json"
)

// Envelope is a DSSE envelope: a payload, what it is, and who signed both.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // Base64
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an envelope.
type Signature struct {
	// KeyID is a hint that nothing protects: verification tries every key.
	KeyID string `json:"keyid,omitempty"`
	Sig   string `json:"sig"` // Base64
}

// The endings of a report's file and of its envelope, which lies beside it.
const (
	ReportSuffix   = ".json"
	EnvelopeSuffix = ".dsse.json"
)

// EnvelopeOf is the path at which the envelope of a report's file is looked for:
// report.dsse.json beside report.json.
func EnvelopeOf(path string) string { return strings.TrimSuffix(path, ReportSuffix) + EnvelopeSuffix }

// The bounds of an envelope that is read.
const (
	maxEnvelope   = 1 << 20
	maxSignatures = 64
)

// decode reads JSON so that all readers see the same: names in their own case, and
// none twice. Names that v does not have are passed over, as DSSE and in-toto ask.
func decode(text []byte, v any) error {
	twice, err := kjson.UnmarshalStrict(text, v, kjson.DisallowDuplicateFields)
	if err == nil && len(twice) > 0 {
		return twice[0]
	}
	return err
}

// PAE is what is signed: DSSE's pre-authentication encoding of a payload and its
// type, which no other pair encodes to.
func PAE(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	b.WriteString("DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(payload)) + " ")
	b.Write(payload)
	return b.Bytes()
}

// seal signs a payload with every key.
func seal(payloadType string, payload []byte, keys []*PrivateKey) (*Envelope, error) {
	if len(keys) > maxSignatures {
		return nil, fmt.Errorf("%d keys are too many: an envelope has at most %d signatures", len(keys), maxSignatures)
	}
	e := &Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload)}
	for _, key := range keys {
		signature, err := key.sign(PAE(payloadType, payload))
		if err != nil {
			return nil, err
		}
		e.Signatures = append(e.Signatures, Signature{KeyID: key.Public.ID, Sig: base64.StdEncoding.EncodeToString(signature)})
	}
	return e, nil
}

// parseEnvelope reads an envelope, of which nothing is believed yet.
func parseEnvelope(text []byte) (*Envelope, error) {
	if len(text) > maxEnvelope {
		return nil, fmt.Errorf("the envelope has more than %d MB", maxEnvelope>>20)
	}
	e := new(Envelope)
	if err := decode(text, e); err != nil {
		return nil, fmt.Errorf("this is no DSSE envelope: %w", err)
	}
	switch {
	case e.Payload == "" || e.PayloadType == "":
		return nil, errors.New("this is no DSSE envelope: it has no payload or no payloadType")
	case len(e.Signatures) == 0:
		return nil, errors.New("nobody has signed the envelope")
	case len(e.Signatures) > maxSignatures:
		return nil, fmt.Errorf("the envelope has more than %d signatures", maxSignatures)
	}
	return e, nil
}

// open returns the payload of an envelope and those of the keys that signed it,
// at least one.
func (e *Envelope) open(keys []*PublicKey) ([]byte, []*PublicKey, error) {
	payload, err := decode64(e.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("the envelope's payload is no Base64: %w", err)
	}
	message := PAE(e.PayloadType, payload)
	var signers []*PublicKey
	named := false
	for _, key := range keys {
		for _, s := range e.Signatures {
			named = named || s.KeyID == key.ID
			// One bad signature does not spoil a good one: others may add theirs.
			if signature, err := decode64(s.Sig); err == nil && key.verifies(message, signature) {
				signers = append(signers, key)
				break
			}
		}
	}
	switch {
	case len(signers) > 0:
		return payload, signers, nil
	case named:
		return nil, nil, errors.New("a given key is named, and the signature is not its: the statement or the signature was changed after signing, or the name is wrong")
	default:
		return nil, nil, fmt.Errorf("none of the %d given keys has signed the envelope; %s", len(keys), e.signers())
	}
}

// namedKeys is how many key ids a message lists.
const namedKeys = 3

// signers tells which keys the envelope names, shortened.
func (e *Envelope) signers() string {
	var ids []string
	for _, s := range e.Signatures {
		if id := fmt.Sprintf("%.16q", s.KeyID); s.KeyID != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "it does not name its keys"
	}
	more := ""
	if len(ids) > namedKeys {
		more = fmt.Sprintf(" and %d more", len(ids)-namedKeys)
		ids = ids[:namedKeys]
	}
	return "it names " + strings.Join(ids, ", ") + more
}

// decode64 reads both alphabets of Base64, as DSSE asks.
func decode64(text string) ([]byte, error) {
	if decoded, err := base64.URLEncoding.DecodeString(text); err == nil {
		return decoded, nil
	}
	return base64.StdEncoding.DecodeString(text)
}
