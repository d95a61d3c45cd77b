package provenance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/conformance/report"
)

func sample(t *testing.T) []byte {
	t.Helper()
	r := report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Mesh: report.Mesh{Name: "SMI", Version: "1"}, Platform: "standalone",
		Suite: report.Suite{Version: "0.1.0", Digest: "d", Cases: 1}, Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Duration: 1.7,
		Results: []report.Result{{ID: "AC-1-x", Outcome: report.Passed, Evidence: []report.Evidence{{What: "GET /", Wanted: "an answer", Held: true}}}}, Summary: report.Summary{Passed: 1},
	}
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newKey(t *testing.T) *PrivateKey {
	t.Helper()
	key, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func curveKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func sign(t *testing.T, file []byte, keys ...*PrivateKey) []byte {
	t.Helper()
	envelope, err := Sign("report.json", file, "the tests", keys...)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// The example of DSSE's own page.
func TestPAE(t *testing.T) {
	if got, want := string(PAE("http://example.com/HelloWorld", []byte("hello world"))), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryKindOfKeySignsAndVerifies(t *testing.T) {
	ec := curveKey(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := newKey(t).PEM()
	if err != nil {
		t.Fatal(err)
	}
	file := sample(t)
	for name, text := range map[string][]byte{
		"Ed25519": fresh, "P-256": pkcs8(t, ec), "P-384": pkcs8(t, curveKey(t, elliptic.P384())),
		"SEC 1": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
	} {
		private, err := ParsePrivateKey(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		public, err := private.Public.PEM()
		if err != nil {
			t.Fatal(err)
		}
		read, err := ParsePublicKey(public)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Verify(sign(t, file, private), file, newKey(t).Public, read)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := got.Statement.Predicate; p.By != "the tests" || p.Mesh != (Mesh{"SMI", "1"}) || p.Finished.Sub(p.Started) != 1700*time.Millisecond {
			t.Errorf("%s: the predicate is %+v", name, p)
		}
		if s := got.Statement.Subject; len(s) != 1 || s[0].Name != "report.json" || got.Signers[0].ID != private.Public.ID || got.Report.Mesh.Name != "SMI" {
			t.Errorf("%s: got %+v signed by %v", name, s, got.Signers)
		}
	}
}

// ECDSA signs the digest that belongs to the curve, as other tools do.
func TestDigestsOfCurves(t *testing.T) {
	message := PAE("text/plain", []byte("hello"))
	short, long := sha256.Sum256(message), sha512.Sum384(message)
	for curve, digest := range map[elliptic.Curve][]byte{elliptic.P256(): short[:], elliptic.P384(): long[:]} {
		key := curveKey(t, curve)
		private, err := ParsePrivateKey(pkcs8(t, key))
		if err != nil {
			t.Fatal(err)
		}
		e, err := seal("text/plain", []byte("hello"), []*PrivateKey{private})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest, signature) {
			t.Errorf("%s: %v", curve.Params().Name, err)
		}
	}
}

func TestKeysThatAreNotTaken(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := newKey(t).Public.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}) }
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"of cosign":         {block("ENCRYPTED SIGSTORE PRIVATE KEY"), "it is encrypted (ENCRYPTED SIGSTORE PRIVATE KEY)"},
		"of cosign 1":       {block("ENCRYPTED COSIGN PRIVATE KEY"), "it is encrypted"},
		"with a password":   {block("ENCRYPTED PRIVATE KEY"), "it is encrypted"},
		"RSA":               {pkcs8(t, rsaKey), "Ed25519 and ECDSA are used"},
		"of another curve":  {pkcs8(t, curveKey(t, elliptic.P521())), "the curve is P-521"},
		"public":            {public, "it is a public key"},
		"of another format": {block("OPENSSH PRIVATE KEY"), `it holds "OPENSSH PRIVATE KEY"`},
		"broken":            {block("PRIVATE KEY"), "it is no PKCS #8 key"},
		"no key":            {[]byte("hello"), "no key in PEM form"},
	} {
		if _, err := ParsePrivateKey(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("a key %s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := ParsePublicKey(pkcs8(t, curveKey(t, elliptic.P256()))); err == nil || !strings.Contains(err.Error(), "it is a private key") {
		t.Errorf("a private key in place of the public one: %v", err)
	}
}

// resign is the envelope of a statement that was changed before it was signed.
func resign(t *testing.T, key *PrivateKey, payloadType string, change func(map[string]any)) []byte {
	t.Helper()
	e, err := parseEnvelope(sign(t, sample(t), key))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := decode64(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	statement := map[string]any{}
	if err := json.Unmarshal(payload, &statement); err != nil {
		t.Fatal(err)
	}
	change(statement)
	if payload, err = json.Marshal(statement); err != nil {
		t.Fatal(err)
	}
	if e, err = seal(payloadType, payload, []*PrivateKey{key}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func subject(sum string) map[string]any {
	return map[string]any{"name": "report.json", "digest": map[string]any{"sha256": sum}}
}

// sealed is the envelope of any text that is said to be a statement.
func sealed(t *testing.T, key *PrivateKey, payload []byte) []byte {
	t.Helper()
	e, err := seal(PayloadType, payload, []*PrivateKey{key})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// twice is the envelope of a statement with two predicates: readers would differ in
// which of them they believe.
func twice(t *testing.T, key *PrivateKey, file []byte) []byte {
	t.Helper()
	var e Envelope
	if err := json.Unmarshal(sign(t, file, key), &e); err != nil {
		t.Fatal(err)
	}
	payload, err := decode64(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed(t, key, []byte(strings.Replace(string(payload), `"predicate":`, `"predicate": {}, "predicate":`, 1)))
}

// yamlOf is an envelope that fits a report in YAML.
func yamlOf(t *testing.T, key *PrivateKey, file []byte) []byte {
	t.Helper()
	sum := digest([]byte("# YAML\n" + string(file)))
	return resign(t, key, PayloadType, func(s map[string]any) { s["subject"] = []any{subject(sum)} })
}

func TestSignersAreNamedShortly(t *testing.T) {
	many := Envelope{Signatures: []Signature{{KeyID: ""}, {KeyID: strings.Repeat("a", 64)}, {KeyID: "b\n"}, {KeyID: "b\n"}, {KeyID: "c"}, {KeyID: "d"}, {KeyID: "e"}}}
	if got, want := many.signers(), `it names "aaaaaaaaaaaaaaaa", "b\n", "c" and 2 more`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (&Envelope{Signatures: []Signature{{}}}).signers(), "it does not name its keys"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSignRefusesWhatNobodyCouldVerify(t *testing.T) {
	key, file := newKey(t), sample(t)
	var keys []*PrivateKey
	for range maxSignatures + 1 {
		keys = append(keys, key)
	}
	if _, err := Sign("report.json", file, "me", keys...); err == nil || !strings.Contains(err.Error(), "at most 64 signatures") {
		t.Errorf("too many keys: %v", err)
	}
	if _, err := Sign("report.json", file, "me", keys[1:]...); err != nil {
		t.Errorf("64 keys: %v", err)
	}
	if _, err := Sign("report.json", []byte("# YAML\n"+string(file)), "me", key); err == nil || !strings.Contains(err.Error(), "in YAML") {
		t.Errorf("YAML: %v", err)
	}
}

func TestVerifySaysWhatDoesNotFit(t *testing.T) {
	key, file := newKey(t), sample(t)
	good := sign(t, file, key)
	replaced := func(old, new string) []byte {
		var e Envelope
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		payload, _ := decode64(e.Payload)
		changed := strings.Replace(string(payload), old, new, 1)
		if changed == string(payload) {
			t.Fatalf("%s is not in %s", old, payload)
		}
		e.Payload = base64.StdEncoding.EncodeToString([]byte(changed))
		text, _ := json.Marshal(e)
		return text
	}
	for name, c := range map[string]struct {
		envelope, file []byte
		key            *PrivateKey
		want           string
	}{
		"a tampered report":       {good, []byte(strings.Replace(string(file), "passed", "failed", 1)), key, "changed after signing"},
		"a cut report":            {good, file[:len(file)-1], key, "changed after signing"},
		"a tampered statement":    {replaced("the tests", "the boss"), file, key, "the signature is not its"},
		"a wrong key":             {good, file, newKey(t), "none of the 1 given keys has signed"},
		"a cut envelope":          {good[:len(good)/2], file, key, "no DSSE envelope"},
		"an empty envelope":       {nil, file, key, "no DSSE envelope"},
		"no envelope":             {file, file, key, "no DSSE envelope"},
		"no signature":            {[]byte(`{"payload": "e30=", "payloadType": "x", "signatures": []}`), file, key, "nobody has signed"},
		"a payload in no code":    {[]byte(`{"payload": "!", "payloadType": "x", "signatures": [{"sig": "AA=="}]}`), file, key, "no Base64"},
		"another payload type":    {resign(t, key, "text/plain", func(map[string]any) {}), file, key, `payload is "text/plain"`},
		"another statement":       {resign(t, key, PayloadType, func(s map[string]any) { s["_type"] = "https://in-toto.io/Statement/v0.1" }), file, key, `statement's type is "https://in-toto.io/Statement/v0.1"`},
		"another predicate":       {resign(t, key, PayloadType, func(s map[string]any) { s["predicateType"] = "https://slsa.dev/provenance/v1" }), file, key, `predicate's type is "https://slsa.dev/provenance/v1"`},
		"no subject":              {resign(t, key, PayloadType, func(s map[string]any) { s["subject"] = []any{} }), file, key, "names no file"},
		"another mesh":            {resign(t, key, PayloadType, func(s map[string]any) { s["predicate"].(map[string]any)["mesh"] = map[string]any{"name": "Other"} }), file, key, "about a run of Other"},
		"a changed type only":     {[]byte(strings.Replace(string(good), PayloadType, "application/json", 1)), file, key, "the signature is not its"},
		"a name in capitals":      {[]byte(strings.Replace(string(good), `"payload"`, `"Payload"`, 1)), file, key, "it has no payload"},
		"a name twice":            {[]byte(strings.Replace(string(good), `"payloadType"`, `"payload": "e30=", "payloadType"`, 1)), file, key, `duplicate field "payload"`},
		"a predicate in capitals": {resign(t, key, PayloadType, func(s map[string]any) { s["Predicate"] = s["predicate"]; delete(s, "predicate") }), file, key, "about a run of"},
		"a predicate twice":       {twice(t, key, file), file, key, `duplicate field "predicate"`},
		"two files":               {resign(t, key, PayloadType, func(s map[string]any) { s["subject"] = []any{subject("ab"), subject("cd")} }), file, key, "none of the statement's 2 files"},
		"a file without digest":   {resign(t, key, PayloadType, func(s map[string]any) { s["subject"] = []any{subject("ab"), map[string]any{"name": "x"}} }), file, key, "changed after signing"},
		"a report in YAML":        {yamlOf(t, key, file), []byte("# YAML\n" + string(file)), key, "its JSON is what is signed"},
		"too large an envelope":   {make([]byte, maxEnvelope+1), file, key, "more than 1 MB"},
	} {
		_, err := Verify(c.envelope, c.file, c.key.Public)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, c.want)
		}
	}
	if _, err := Verify(good, file); err == nil {
		t.Error("without a key it was verified")
	}
	unknown := resign(t, key, PayloadType, func(s map[string]any) { s["later"] = true })
	if _, err := Verify(unknown, file, key.Public); err != nil {
		t.Errorf("a field that in-toto may add: %v", err)
	}
	if _, err := Sign("report.json", []byte("hello"), "me", key); err == nil {
		t.Error("what is no report was signed")
	}
}

// Of several signatures one by a known key is enough, whatever the others are.
func TestTwoSignatures(t *testing.T) {
	one, two, file := newKey(t), newKey(t), sample(t)
	both := sign(t, file, one, two)
	got, err := Verify(both, file, two.Public, one.Public)
	if err != nil || len(got.Signers) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, key := range []*PrivateKey{one, two} {
		if got, err := Verify(both, file, key.Public); err != nil || len(got.Signers) != 1 || got.Signers[0].ID != key.Public.ID {
			t.Errorf("got %v, %v", got, err)
		}
	}
	var e Envelope
	if err := json.Unmarshal(both, &e); err != nil {
		t.Fatal(err)
	}
	e.Signatures[0].Sig, e.Signatures[1].KeyID = "AAAA", ""
	spoilt, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Verify(spoilt, file, one.Public, two.Public); err != nil || len(got.Signers) != 1 || got.Signers[0].ID != two.Public.ID {
		t.Errorf("with one good signature: %v, %v", got, err)
	}
	if _, err := Verify(spoilt, file, one.Public); err == nil || !strings.Contains(err.Error(), "the signature is not its") {
		t.Errorf("with the bad signature only: %v", err)
	}
	if _, err := Verify(both, file, newKey(t).Public); err == nil || !strings.Contains(err.Error(), "it names") {
		t.Errorf("with a stranger's key: %v", err)
	}
}
