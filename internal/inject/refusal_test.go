package inject_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/sidecar"
)

// refusals are pods that cannot be guarded: what is wrong with an ordinary pod,
// and the reason and the beginning of the message that its author gets.
var refusals = []struct {
	name   string
	change func(*corev1.Namespace, *corev1.Pod)
	reason inject.Reason
	want   string
}{
	{"the node's network", onPod(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), inject.HostNetwork, "spec.hostNetwork:"},
	{"the node's processes", onPod(func(p *corev1.Pod) { p.Spec.HostPID = true }), inject.HostPID, "spec.hostPID:"},
	{"shared processes", onPod(func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = new(true) }), inject.ShareProcessNamespace, "spec.shareProcessNamespace:"},
	{"a static pod", annotated("kubernetes.io/config.mirror", "abc"), inject.StaticPod, "metadata.annotations[kubernetes.io/config.mirror]:"},
	{"Windows", onPod(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }), inject.Windows, "spec.os.name:"},
	{"a Windows node", onPod(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"kubernetes.io/os": "windows"} }), inject.Windows, "spec.nodeSelector[kubernetes.io/os]:"},
	{"level restricted", podSecurity("restricted"), inject.PodSecurity, "namespace metadata.labels[pod-security.kubernetes.io/enforce] restricted:"},
	{"level baseline", podSecurity("baseline"), inject.PodSecurity, "namespace metadata.labels[pod-security.kubernetes.io/enforce] baseline:"},
	{"a level that does not exist", podSecurity("Privileged"), inject.PodSecurity, "namespace metadata.labels[pod-security.kubernetes.io/enforce] Privileged:"},
	{"privileged", secured(corev1.SecurityContext{Privileged: new(true)}), inject.Privileged, "spec.containers[0].securityContext.privileged:"},
	{"privileged init container", onPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "early", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}}
	}), inject.Privileged, "spec.initContainers[0].securityContext.privileged:"},
	{"privileged ephemeral container", onPod(func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", SecurityContext: &corev1.SecurityContext{Privileged: new(true)},
		}}}
	}), inject.Privileged, "spec.ephemeralContainers[0].securityContext.privileged:"},
	{"NET_ADMIN", adding("NET_ADMIN"), inject.Capability, "spec.containers[0].securityContext.capabilities.add[1] NET_ADMIN:"},
	{"NET_RAW", adding("NET_RAW"), inject.Capability, "spec.containers[0].securityContext.capabilities.add[1] NET_RAW:"},
	{"SYS_ADMIN", adding("SYS_ADMIN"), inject.Capability, "spec.containers[0].securityContext.capabilities.add[1] SYS_ADMIN:"},
	{"all capabilities", adding("all"), inject.Capability, "spec.containers[0].securityContext.capabilities.add[1] all:"},
	{"a capability by the kernel's name", adding("cap_net_admin"), inject.Capability, "spec.containers[0].securityContext.capabilities.add[1] cap_net_admin:"},
	{"the sidecar's user", secured(corev1.SecurityContext{RunAsUser: new(int64(1337))}), inject.SidecarUser, "spec.containers[0].securityContext.runAsUser 1337:"},
	{"the sidecar's group", secured(corev1.SecurityContext{RunAsGroup: new(int64(1337))}), inject.SidecarUser, "spec.containers[0].securityContext.runAsGroup 1337:"},
	{"the sidecar's user for all", onPod(func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1337))}
	}), inject.SidecarUser, "spec.securityContext.runAsUser 1337:"},
	{"the sidecar's group for all", onPod(func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsGroup: new(int64(1337))}
	}), inject.SidecarUser, "spec.securityContext.runAsGroup 1337:"},
	{"the sidecar's name", onContainer(func(c *corev1.Container) { c.Name = "smi-proxy" }), inject.SidecarName, "spec.containers[0].name smi-proxy:"},
	{"an init container like the redirection's", onPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "smi-redirect"}}
	}), inject.SidecarName, "spec.initContainers[0].name smi-redirect:"},
	{"a sidecar brought along", onPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "smi-proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	}), inject.SidecarName, "spec.initContainers[0].name smi-proxy:"},
	{"the sidecar's volume", onPod(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "smi-run"}}
	}), inject.SidecarName, "spec.volumes[1].name smi-run:"},
	{"the sidecar's sockets", mounting("smi-run"), inject.SidecarVolume, "spec.containers[0].volumeMounts[0].name smi-run:"},
	{"the sidecar's token", mounting("smi-token"), inject.SidecarVolume, "spec.containers[0].volumeMounts[0].name smi-token:"},
	{"a token for the mesh", onPod(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "mine", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "smi-spec.io"}}},
		}}}}
	}), inject.SidecarToken, "spec.volumes[0].projected.sources[0].serviceAccountToken.audience smi-spec.io:"},
	{"the sidecar's port", onContainer(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 15006}} }), inject.SidecarPort, "spec.containers[0].ports[0].containerPort 15006:"},
	{"the sidecar's port past the sidecar", annotated(sidecar.AnnotationExcludeInbound, "15006"), inject.SidecarPort, "metadata.annotations[smi-spec.io/exclude-inbound-ports] 15006:"},
	{"the sidecar's port for peers without identity", annotated(sidecar.AnnotationPlaintextPorts, "8443, 15006"), inject.SidecarPort, "metadata.annotations[smi-spec.io/plaintext-ports] 15006:"},
	{"a probe that asks the sidecar", probing(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/web/readiness", Port: intstr.FromInt32(15022)}}), inject.SidecarPort, "spec.containers[0].readinessProbe.httpGet.port 15022:"},
	{"metrics at the sidecar's port", scraping("15020", "", ""), inject.SidecarPort, "metadata.annotations[prometheus.io/port] 15020:"},
	{"two containers of one name", onPod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "web"}}
	}), inject.DuplicateName, "spec.containers[0].name web:"},
	{"a label that says neither", onPod(func(p *corev1.Pod) { p.Labels = map[string]string{"smi-spec.io/inject": "false"} }), inject.InvalidLabel, "metadata.labels[smi-spec.io/inject] false:"},
	{"a label that would break the message", onPod(func(p *corev1.Pod) { p.Labels = map[string]string{"smi-spec.io/inject": "x\ny"} }), inject.InvalidLabel, `metadata.labels[smi-spec.io/inject] "x\ny":`},
	{"ports that are none", annotated(sidecar.AnnotationExcludeInbound, "80,http"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/exclude-inbound-ports] "http" is no port`},
	{"more ports than every proxy can be told", annotated(sidecar.AnnotationExcludeInbound, numbers(30000, sidecar.MaxExclusions+1)), inject.InvalidAnnotation, "metadata.annotations[smi-spec.io/exclude-inbound-ports] has 257 entries"},
	{"an outbound port too large", annotated(sidecar.AnnotationExcludeOutbound, "65536"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/exclude-outbound-ports] "65536" is no port`},
	{"an entry that is missing", annotated(sidecar.AnnotationExcludeOutbound, "80,"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/exclude-outbound-ports] "" is no port`},
	{"an address without length", annotated(sidecar.AnnotationExcludeCIDRs, "10.0.0.1"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/exclude-cidrs] "10.0.0.1" is no network`},
	{"a plaintext port that nobody has", annotated(sidecar.AnnotationPlaintextPorts, "8443, hook"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/plaintext-ports] "hook" is neither`},
	{"a negative delay", annotated(sidecar.AnnotationPreStopSeconds, "-1"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/pre-stop-seconds] "-1" is no number from 0 to 3600`},
	{"metrics at no port", scraping("metrics", "", ""), inject.InvalidAnnotation, `metadata.annotations[prometheus.io/port] "metrics" is no port number`},
	{"metrics at one of two ports", onPod(func(p *corev1.Pod) {
		p.Annotations = map[string]string{sidecar.AnnotationMergeMetrics: "true", "prometheus.io/scrape": "true"}
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: 2}}
	}), inject.InvalidAnnotation, `metadata.annotations[prometheus.io/port] is absent while prometheus.io/scrape is "true", and the pod has 2 ports`},
	{"metrics at no path", scraping("9102", "@example.test", ""), inject.InvalidAnnotation, `metadata.annotations[prometheus.io/path] "@example.test" is no path`},
	{"metrics by another scheme", scraping("9102", "", "file"), inject.InvalidAnnotation, `metadata.annotations[prometheus.io/scheme] "file" is neither http nor https`},
	{"metrics that may be merged", annotated(sidecar.AnnotationMergeMetrics, "yes"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/merge-metrics] "yes" is neither`},
	{"metrics to be merged that are nowhere", annotated(sidecar.AnnotationMergeMetrics, "true"), inject.InvalidAnnotation, `metadata.annotations[smi-spec.io/merge-metrics] needs prometheus.io/scrape`},
	{"a probe of a port without that name", probing(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("sql")}}), inject.InvalidProbe, "spec.containers[0].readinessProbe.tcpSocket.port sql:"},
	{"a probe of port 0", probing(corev1.ProbeHandler{GRPC: &corev1.GRPCAction{}}), inject.InvalidProbe, "spec.containers[0].readinessProbe.grpc.port 0:"},
	{"a hook at a port that is none", onContainer(func(c *corev1.Container) {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(70000)}}}
	}), inject.InvalidProbe, "spec.containers[0].lifecycle.preStop.httpGet.port 70000:"},
	{"probes without end", probing(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/" + strings.Repeat("x", 200<<10), Port: intstr.FromInt32(80)}}), inject.TooLarge, "spec.containers have probes of"},
}

func TestRefusals(t *testing.T) {
	met := map[inject.Reason]bool{}
	injector := newInjector(t, options())
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			met[c.reason] = true
			namespace, pod := ordinary()
			c.change(namespace, pod)
			injected, err := injector.Inject(namespace, pod)
			refused := &inject.Refused{}
			if !errors.As(err, &refused) {
				t.Fatalf("the pod was not refused: %v", err)
			}
			if injected != nil {
				t.Error("a refused pod comes back all the same")
			}
			if !refused.Has(c.reason) || len(refused.Refusals) != 1 {
				t.Errorf("the reasons are %v and should be %s alone", refused.Refusals, c.reason)
			}
			if want := "pod shop/web-* cannot be brought into the mesh: " + c.want; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("the message is\n%s\nand should begin with\n%s", err, want)
			}
			if !strings.HasSuffix(err.Error(), "; or leave the pod out of the mesh with the label smi-spec.io/inject: disabled") {
				t.Errorf("the message does not say how to leave the pod out:\n%s", err)
			}
			if len(err.Error()) > 700 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			// Whoever cannot or will not change the pod can leave it out.
			pod.Labels = map[string]string{sidecar.LabelInject: sidecar.InjectDisabled}
			if left, err := injector.Inject(namespace, pod); err != nil || left != pod {
				t.Errorf("the pod with the label disabled is not left alone: %v", err)
			}
		})
	}
	for _, reason := range documented(t) {
		if !met[inject.Reason(reason.name)] {
			t.Errorf("no case is refused for the reason %s", reason.name)
		}
	}
}

// TestRefusalsAreDocumented compares the table of the page with what is said.
func TestRefusalsAreDocumented(t *testing.T) {
	rows := map[string]row{}
	for _, r := range documented(t) {
		rows[r.name] = r
	}
	for _, c := range refusals {
		refusal := inject.Refusal{Reason: c.reason, Field: "field"}
		r, found := rows[string(c.reason)]
		if want := fmt.Sprintf("field: %s; %s", r.why, r.remedy); !found || refusal.String() != want {
			t.Errorf("docs/injection.md has for %s\n%s\nand the message is\n%s", c.reason, want, refusal)
		}
	}
}

// TestAllObjectionsAtOnce spares authors from finding out one after the other.
func TestAllObjectionsAtOnce(t *testing.T) {
	namespace, pod := ordinary()
	pod.Spec.HostNetwork = true
	pod.Annotations = map[string]string{sidecar.AnnotationExcludeCIDRs: "all"}
	_, err := newInjector(t, options()).Inject(namespace, pod)
	refused := &inject.Refused{}
	if !errors.As(err, &refused) || !refused.Has(inject.HostNetwork) || !refused.Has(inject.InvalidAnnotation) {
		t.Errorf("both objections should be told: %v", err)
	}
}

// TestHarmless shows what looks like a refusal and is none.
func TestHarmless(t *testing.T) {
	for name, change := range map[string]func(*corev1.Namespace, *corev1.Pod){
		"level privileged":         podSecurity("privileged"),
		"another capability":       adding("NET_BIND_SERVICE"),
		"all capabilities dropped": secured(corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}),
		"not privileged":           secured(corev1.SecurityContext{Privileged: new(false)}),
		"no shared processes":      onPod(func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = new(false) }),
		"the sidecar's port by UDP": onContainer(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 15006, Protocol: corev1.ProtocolUDP}}
		}),
		"scraping other sidecars straight": annotated(sidecar.AnnotationExcludeOutbound, "15020"),
		"a token for the API server": onPod(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
			}}}}
		}),
		"empty annotations": annotated(sidecar.AnnotationExcludeCIDRs, " "),
	} {
		namespace, pod := ordinary()
		change(namespace, pod)
		injected, err := newInjector(t, options()).Inject(namespace, pod)
		if err != nil || !sidecar.Meshed(injected) {
			t.Errorf("%s: the pod is not brought into the mesh: %v", name, err)
		}
	}
}

type row struct{ name, why, remedy string }

var tableRow = regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|[^|]*\\| ([^|]*) \\| ([^|]*) \\|$")

// documented are the rows of the table of refusals.
func documented(t *testing.T) []row {
	t.Helper()
	page, err := os.ReadFile("../../docs/injection.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, m := range tableRow.FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, row{m[1], strings.ReplaceAll(m[2], "`", ""), strings.ReplaceAll(m[3], "`", "")})
	}
	if len(rows) == 0 {
		t.Fatal("docs/injection.md has no table of refusals")
	}
	return rows
}

func ordinary() (*corev1.Namespace, *corev1.Pod) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{sidecar.LabelInject: sidecar.InjectEnabled}}}
	return namespace, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.test/web:1"}}},
	}
}

func onPod(change func(*corev1.Pod)) func(*corev1.Namespace, *corev1.Pod) {
	return func(_ *corev1.Namespace, p *corev1.Pod) { change(p) }
}

func onContainer(change func(*corev1.Container)) func(*corev1.Namespace, *corev1.Pod) {
	return onPod(func(p *corev1.Pod) { change(&p.Spec.Containers[0]) })
}

func podSecurity(level string) func(*corev1.Namespace, *corev1.Pod) {
	return func(n *corev1.Namespace, _ *corev1.Pod) { n.Labels["pod-security.kubernetes.io/enforce"] = level }
}

func annotated(name, value string) func(*corev1.Namespace, *corev1.Pod) {
	return onPod(func(p *corev1.Pod) { p.Annotations = map[string]string{name: value} })
}

func secured(c corev1.SecurityContext) func(*corev1.Namespace, *corev1.Pod) {
	return onContainer(func(container *corev1.Container) { container.SecurityContext = &c })
}

func adding(capability corev1.Capability) func(*corev1.Namespace, *corev1.Pod) {
	return secured(corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"CHOWN", capability}}})
}

func mounting(volume string) func(*corev1.Namespace, *corev1.Pod) {
	return onContainer(func(c *corev1.Container) {
		c.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/mnt"}}
	})
}

func probing(handler corev1.ProbeHandler) func(*corev1.Namespace, *corev1.Pod) {
	return onContainer(func(c *corev1.Container) { c.ReadinessProbe = &corev1.Probe{ProbeHandler: handler} })
}

func scraping(port, path, scheme string) func(*corev1.Namespace, *corev1.Pod) {
	return onPod(func(p *corev1.Pod) {
		p.Annotations = map[string]string{sidecar.AnnotationMergeMetrics: "true", "prometheus.io/scrape": "true", "prometheus.io/port": port}
		if path != "" {
			p.Annotations["prometheus.io/path"] = path
		}
		if scheme != "" {
			p.Annotations["prometheus.io/scheme"] = scheme
		}
	})
}

// numbers are so many, separated by commas.
func numbers(first, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(first + i)
	}
	return strings.Join(all, ",")
}
