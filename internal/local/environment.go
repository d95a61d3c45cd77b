//go:build linux

package local

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/mesh"
)

// inherited are the variables of the runtime's own environment that processes
// get. The rest is none of their business.
var inherited = []string{"PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ"}

// upstream is where a pod's sidecar takes connections for a Service port from
// clients that do not use a proxy.
type upstream struct {
	service mesh.Name
	port    uint16
	address string
}

// variable is the name of the environment variable that tells the address:
// SMI_UPSTREAM_<SERVICE>_<NAMESPACE>_<PORT>, upper-case, with underscores.
func (u upstream) variable() string {
	name := fmt.Sprintf("SMI_UPSTREAM_%s_%s_%d", u.service.Name, u.service.Namespace, u.port)
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// environment is what a container's process finds in its environment, as sorted
// KEY=VALUE, and a function that expands $(VARIABLE) as Kubernetes does. What the
// container says itself comes before what the runtime sets.
func environment(pod *corev1.Pod, container *corev1.Container, at pair, upstreams []upstream) ([]string, func(string) string, error) {
	values := map[string]string{}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			values[name] = v
		}
	}
	values["POD_IP"] = at.app.String()
	values["HOSTNAME"] = pod.Name
	if meshed(pod) {
		proxy := fmt.Sprintf("http://%s:%d", at.sidecar, portProxy)
		values["HTTP_PROXY"], values["http_proxy"] = proxy, proxy
		values["NO_PROXY"], values["no_proxy"] = "localhost,127.0.0.0/8,::1", "localhost,127.0.0.0/8,::1"
		for _, u := range upstreams {
			values[u.variable()] = u.address
		}
	}
	for _, from := range container.EnvFrom {
		if from.ConfigMapRef != nil && optional(from.ConfigMapRef.Optional) || from.SecretRef != nil && optional(from.SecretRef.Optional) {
			continue
		}
		return nil, nil, fmt.Errorf("container %s: envFrom takes variables from an object that the standalone runtime does not read: write them under env, or make the reference optional", container.Name)
	}
	for _, e := range container.Env {
		value, ok, err := variableValue(pod, e, at)
		if err != nil {
			return nil, nil, fmt.Errorf("container %s: env %s: %w", container.Name, e.Name, err)
		}
		switch {
		case ok && e.ValueFrom == nil:
			values[e.Name] = expandIn(values)(value)
		case ok:
			values[e.Name] = value
		}
	}
	list := make([]string, 0, len(values))
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list, expandIn(values), nil
}

// variableValue is the value of an env entry; false where it is optional and
// not there.
func variableValue(pod *corev1.Pod, e corev1.EnvVar, at pair) (string, bool, error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return e.Value, true, nil
	case from.FieldRef != nil:
		value, err := podField(pod, from.FieldRef.FieldPath, at)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil && optional(from.ConfigMapKeyRef.Optional), from.SecretKeyRef != nil && optional(from.SecretKeyRef.Optional):
		return "", false, nil
	default:
		return "", false, errors.New("valueFrom names something that the standalone runtime does not read, which is all but fieldRef: give it a value, or make the reference optional")
	}
}

func optional(flag *bool) bool { return flag != nil && *flag }

func podField(pod *corev1.Pod, path string, at pair) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "spec.nodeName":
		return os.Hostname()
	case "status.podIP", "status.podIPs", "status.hostIP":
		return at.app.String(), nil
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels['": pod.Labels, "metadata.annotations['": pod.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("the field %s is none that the standalone runtime knows: use metadata.name, metadata.namespace, metadata.labels['KEY'], metadata.annotations['KEY'], spec.serviceAccountName, spec.nodeName or status.podIP", path)
}

// expandIn replaces $(NAME) by the variable's value, and $$ by $. What is not
// known stays as it was written.
func expandIn(values map[string]string) func(string) string {
	return func(s string) string {
		var out strings.Builder
		for {
			before, rest, found := strings.Cut(s, "$")
			out.WriteString(before)
			if !found {
				return out.String()
			}
			name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
			value, known := values[name]
			switch {
			case strings.HasPrefix(rest, "$"):
				out.WriteString("$")
				s = rest[1:]
			case strings.HasPrefix(rest, "(") && closed && known:
				out.WriteString(value)
				s = after
			default:
				out.WriteString("$")
				s = rest
			}
		}
	}
}

// meshed tells whether a pod has a sidecar.
func meshed(pod *corev1.Pod) bool { return pod.Labels["smi-spec.io/inject"] != "disabled" }
