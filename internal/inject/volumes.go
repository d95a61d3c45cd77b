package inject

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/smi-project/smi/internal/sidecar"
)

// runBytes bounds what the sidecar keeps in memory as files: sockets and Envoy's
// bootstrap.
const runBytes = 16 << 20

// addVolumes adds what the sidecar mounts, and the application must not.
//
// The token needs no fsGroup: the kubelet makes it readable by its owner alone
// only where all containers run as one user, which these pods never do, or where
// the pod has an fsGroup, in which the sidecar then is as well. Who can read it is
// decided by who mounts it.
func (j *injection) addVolumes() {
	j.pod.Spec.Volumes = append(j.pod.Spec.Volumes,
		corev1.Volume{Name: sidecar.VolumeRun, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(runBytes, resource.BinarySI)},
		}},
		corev1.Volume{Name: sidecar.VolumeToken, VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{
				DefaultMode: new(corev1.ProjectedVolumeSourceDefaultMode),
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Audience: sidecar.TokenAudience, ExpirationSeconds: new(int64(sidecar.TokenSeconds)), Path: path.Base(sidecar.TokenPath),
				}}},
			},
		}},
		corev1.Volume{Name: sidecar.VolumeRoots, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: sidecar.RootsConfigMap},
				DefaultMode:          new(corev1.ConfigMapVolumeSourceDefaultMode),
			},
		}},
	)
}
