//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// workload is YAML of an account, a Deployment of the sample service and, where it
// serves, a Service of its name.
type workload struct {
	namespace, name string
	// args are those of the sample service, besides its name and its driver.
	args []string
	// ports are "name:port" of its Service, served by the pod at the same number.
	ports []string
	// podLabels and podAnnotations are added to the pods'.
	podLabels, podAnnotations map[string]string
	replicas                  int
	// secret is the name of a Secret that the pod finds as the folder /certificate.
	secret string
	// headless makes a StatefulSet and a headless Service.
	headless bool
}

func (w workload) yaml() string {
	var b strings.Builder
	labels := map[string]string{"app": w.name}
	for k, v := range w.podLabels {
		labels[k] = v
	}
	args := append([]string{fmt.Sprintf("-pod=%s/%s", w.namespace, w.name), fmt.Sprintf("-control=127.0.0.1:%d", controlPort)}, w.args...)
	if len(w.args) == 0 {
		args = append(args, "-http=8080")
	}
	kind, extra := "Deployment", ""
	if w.headless {
		kind, extra = "StatefulSet", fmt.Sprintf(", serviceName: %s", w.name)
	}
	mounts, volumes := "", ""
	if w.secret != "" {
		mounts = ", volumeMounts: [{name: certificate, mountPath: /certificate, readOnly: true}]"
		volumes = fmt.Sprintf(", volumes: [{name: certificate, secret: {secretName: %s}}]", w.secret)
	}
	fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: %s, name: %s}\n", w.namespace, w.name)
	fmt.Fprintf(&b, `---
apiVersion: apps/v1
kind: %s
metadata: {namespace: %s, name: %s}
spec: {replicas: %d%s, selector: {matchLabels: {app: %s}}, template: {metadata: {labels: %s, annotations: %s}, spec: {serviceAccountName: %s, terminationGracePeriodSeconds: 15, containers: [
  {name: sample, image: $IMAGE, imagePullPolicy: IfNotPresent, args: %s, readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}, ports: [{name: http, containerPort: 8080}]%s}]%s}}}
`, kind, w.namespace, w.name, max(w.replicas, 1), extra, w.name, flow(labels), flow(w.podAnnotations), w.name, list(args), mounts, volumes)
	if len(w.ports) == 0 {
		return b.String()
	}
	clusterIP := ""
	if w.headless {
		clusterIP = "clusterIP: None, "
	}
	var ports []string
	for _, p := range w.ports {
		name, number, _ := strings.Cut(p, ":")
		ports = append(ports, fmt.Sprintf("{name: %s, port: %s, targetPort: %s}", name, number, number))
	}
	fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: %s, name: %s}\nspec: {%sipFamilyPolicy: PreferDualStack, selector: {app: %s}, ports: [%s]}\n",
		w.namespace, w.name, clusterIP, w.name, strings.Join(ports, ", "))
	return b.String()
}

// flow is a map in YAML's flow style.
func flow(m map[string]string) string {
	var parts []string
	for k, v := range m {
		parts = append(parts, fmt.Sprintf("%q: %q", k, v))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// allow is YAML of a TrafficTarget that lets accounts, as "namespace/name", send any
// HTTP request to an account.
func allow(namespace, name string, sources ...string) string {
	return fmt.Sprintf("---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {namespace: %s, name: %s}\nspec: {matches: [{name: any}]}\n", namespace, name) +
		grant(namespace, name, name, "HTTPRouteGroup", sources)
}

// allowPorts is YAML of one that lets them open connections to those ports.
func allowPorts(namespace, name, ports string, sources ...string) string {
	return fmt.Sprintf("---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {namespace: %s, name: %s-tcp}\nspec: {matches: {name: any, ports: [%s]}}\n", namespace, name, ports) +
		grant(namespace, name, name+"-tcp", "TCPRoute", sources)
}

// grant is YAML of a TrafficTarget for an account, with a rule of the target's name.
func grant(namespace, account, name, rule string, sources []string) string {
	from := make([]string, len(sources))
	for i, s := range sources {
		ns, account, _ := strings.Cut(s, "/")
		from[i] = fmt.Sprintf("{kind: ServiceAccount, namespace: %s, name: %s}", ns, account)
	}
	return fmt.Sprintf("---\napiVersion: access.smi-spec.io/v1alpha4\nkind: TrafficTarget\nmetadata: {namespace: %s, name: %s}\nspec: {destination: {kind: ServiceAccount, name: %s}, sources: [%s], rules: [{kind: %s, name: %s}]}\n",
		namespace, name, account, strings.Join(from, ", "), rule, name)
}
