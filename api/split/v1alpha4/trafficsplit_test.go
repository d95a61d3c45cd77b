package v1alpha4

import (
	"encoding/json"
	"testing"
)

// TestSpecIsKept: Flagger and Argo Rollouts compare the spec that they read with
// the one that they wrote (TS-13).
func TestSpecIsKept(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"weights": `{"metadata":{"name":"a"},"spec":{"service":"root","backends":[{"service":"z","weight":0},{"service":"a","weight":2147483647}]}}`,
		"matches": `{"spec":{"service":"root","backends":[],"matches":[{"apiGroup":"specs.smi-spec.io","kind":"HTTPRouteGroup","name":"g"},{"apiGroup":null,"kind":"HTTPRouteGroup","name":"h"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var split TrafficSplit
			if err := json.Unmarshal([]byte(text), &split); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*TrafficSplit{&split, split.DeepCopy()} {
				if back, err := json.Marshal(s); err != nil || string(back) != text {
					t.Errorf("came back as %s, %v", back, err)
				}
			}
		})
	}
}
