// Command bench measures what docs/performance.md reports: how long it takes to
// compile and render a mesh, how fast and how dearly proxies get to know of a
// change, what latency two sidecars add, and what an access decision costs.
//
// It measures and judges nothing: no figure makes it fail. All load goes to
// loopback addresses of this machine and ends by itself.
package main
