// Package chart tests charts/smi: what it renders, what it refuses, and that its
// permissions suffice for what its Jobs do. It is tests only.
package chart
