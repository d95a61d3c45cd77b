// Package redirect brings the TCP connections of a pod to its sidecar: those
// that come in to one port of it, those that go out to another. It works on the
// network namespace that it runs in, by nftables, which it speaks to itself: no
// program of the image or of the node is needed.
//
// It is what the init container of a meshed pod runs, and is made so that a CNI
// plugin can call it. It never reads a pod, never starts a proxy, and leaves
// alone every table but its own.
//
// What the rules guarantee:
//
//   - No connection from outside reaches the application but through the
//     sidecar, excluded ports aside, over IPv4 and IPv6.
//   - Nothing from outside reaches an address that means something within the pod
//     alone, such as a loopback address, or claims to come from one.
//   - No connection of the application leaves the pod but through the sidecar,
//     excluded ports and destinations aside.
//   - Where it is asked to, nothing that is neither TCP nor ICMP nor a reply
//     comes in (AC-11).
//   - The sidecar's ports for redirected connections take no others, so that
//     nobody can use it as an open proxy.
package redirect
