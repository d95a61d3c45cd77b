// Package status tells the authors of SMI's resources what became of them: it
// turns findings, and what proxies say, into conditions and Events.
//
// It decides nothing about the mesh. It writes the status of objects and never
// their spec (TS-13), and only what is news.
package status
