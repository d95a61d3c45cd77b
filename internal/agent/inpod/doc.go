// Package inpod is the agent of one pod of a cluster, in the sidecar's container:
// it reads what the injector told it, gets the pod's certificate from the control
// plane, runs Envoy, and serves what others ask the sidecar for:
//
//	15020 /metrics  Prometheus: the mesh's series, Envoy's and the application's
//	15021 /ready    whether traffic can be carried, for the kubelet
//	15022           the application's probes, for the kubelet (AC-14)
//
// and, on a Unix socket in the container, the level of the logs.
//
// Everybody who reaches the pod reaches these ports. Metrics and readiness anybody
// may ask for: they tell nothing that is secret, and who does not read what he has
// asked for is cut off. A probe is carried out for who knows its path, which holds a
// token of the injector's; it does nothing that the pod's author has not declared.
// It carries no traffic of the application; that is Envoy's work.
package inpod
