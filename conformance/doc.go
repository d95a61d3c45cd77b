// Package conformance proves whether a service mesh does what SMI means: it
// applies policy, sends traffic in the name of workloads, and compares what
// arrived with what docs/semantics.md says.
//
// A Case proves one rule, or part of one; the cases are in the package cases, each
// a function beside its manifest. A Target is a mesh to be tested. Run runs cases
// on a target and returns a report. What a mesh does not claim is reported as not
// claimed; what it claims and does not do is a failure.
//
// Nothing here is judged by luck, and by time only where a rule names one. Shares
// are judged by exact tests with a stated rate of false alarms (package share);
// policy is in force when the target says that every proxy follows it, never after
// a pause; and a denial counts only while control requests beside it succeed, which
// tells it from an outage, but for cases of a mesh in which nobody is granted
// anything (T.WithoutControl).
//
// The package knows no particular mesh. What a mesh needs to be tested is in its
// Target and in its Claim.
package conformance
