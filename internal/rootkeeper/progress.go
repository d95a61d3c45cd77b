package rootkeeper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// ConfigMaps about the CA in the mesh's namespace have the label labelPart, whose
// value tells what they are.
const (
	labelPart     = "smi-spec.io/ca"
	partProgress  = "progress"
	partStatus    = "status"
	progressName  = "smi-ca-"
	keyEpoch      = "epoch"
	keyReplica    = "replica"
	keyPods       = "pods"
	fieldManager  = "smi-controller"
	labelManaged  = "app.kubernetes.io/managed-by"
	valueManaged  = "smi"
	podDigestSize = 8
)

// digest stands for a pod where many are listed.
type digest [podDigestSize]byte

func digestOf(pod types.UID) digest {
	sum := sha256.Sum256([]byte(pod))
	return digest(sum[:podDigestSize])
}

// progress is whom this replica has given certificates in the current epoch. It
// tells the other replicas by a ConfigMap of its own.
type progress struct {
	client             kubernetes.Interface
	namespace, replica string

	mu    sync.Mutex
	epoch int64
	// counting tells that a phase waits for pods.
	counting bool
	pods     map[digest]struct{}
	dirty    bool
}

func newProgress(options Options) *progress {
	return &progress{client: options.Client, namespace: options.Namespace, replica: options.Replica, pods: map[digest]struct{}{}}
}

func (p *progress) current() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch
}

// begin starts an epoch, unless it is the current one. Without counting nobody
// wants to know which pods.
func (p *progress) begin(epoch int64, counting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch || counting != p.counting {
		p.epoch, p.counting, p.pods, p.dirty = epoch, counting, map[digest]struct{}{}, true
	}
}

// note counts a pod that got a certificate in an epoch.
func (p *progress) note(epoch int64, pod types.UID) {
	p.merge(epoch, map[digest]struct{}{digestOf(pod): {}})
}

// merge counts pods that another replica has told of.
func (p *progress) merge(epoch int64, pods map[digest]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch || !p.counting {
		return
	}
	for pod := range pods {
		if _, ok := p.pods[pod]; !ok {
			p.pods[pod], p.dirty = struct{}{}, true
		}
	}
}

// publish writes the ConfigMap where there is something new.
func (p *progress) publish(ctx context.Context) error {
	p.mu.Lock()
	if !p.dirty {
		p.mu.Unlock()
		return nil
	}
	p.dirty = false
	written := p.configMap()
	p.mu.Unlock()
	err := write(ctx, p.client, written)
	if err != nil {
		p.mu.Lock()
		p.dirty = true
		p.mu.Unlock()
	}
	return err
}

func (p *progress) configMap() *corev1.ConfigMap {
	sorted := slices.SortedFunc(maps.Keys(p.pods), func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	all := make([]byte, 0, podDigestSize*len(sorted))
	for _, pod := range sorted {
		all = append(all, pod[:]...)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.namespace, Name: progressName + p.replica,
			Labels: map[string]string{labelPart: partProgress, labelManaged: valueManaged},
		},
		Data:       map[string]string{keyEpoch: strconv.FormatInt(p.epoch, 10), keyReplica: p.replica},
		BinaryData: map[string][]byte{keyPods: all},
	}
}

// write makes a ConfigMap what it should be.
func write(ctx context.Context, client kubernetes.Interface, wanted *corev1.ConfigMap) error {
	maps := client.CoreV1().ConfigMaps(wanted.Namespace)
	_, err := maps.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	}
	return err
}

// report is what a replica told.
type report struct {
	replica string
	epoch   int64
	pods    map[digest]struct{}
}

func parseReport(from *corev1.ConfigMap) (*report, error) {
	epoch, err := strconv.ParseInt(from.Data[keyEpoch], 10, 64)
	list := from.BinaryData[keyPods]
	if err != nil || len(list)%podDigestSize != 0 {
		return nil, fmt.Errorf("ConfigMap %s/%s: it is not what a controller writes", from.Namespace, from.Name)
	}
	r := &report{replica: from.Data[keyReplica], epoch: epoch, pods: make(map[digest]struct{}, len(list)/podDigestSize)}
	for chunk := range slices.Chunk(list, podDigestSize) {
		r.pods[digest(chunk)] = struct{}{}
	}
	return r, nil
}
