// Package certifyv1 is the wire form of certify: what protoc-gen-go makes of
// certify.proto. It never holds anything that was not generated.
package certifyv1
