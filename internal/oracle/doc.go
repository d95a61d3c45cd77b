// Package oracle judges a single request over raw SMI objects, straight from the numbered rules.
//
// It exists for tests only: it is the independent check on the compiler, on explain and on what real proxies do with the
// configuration rendered for them. It therefore shares no code with any of them. Everything is a loop over a raw list, and
// every step names the rule it carries out, so that a reader with the rules at hand can check it line by line. Speed is no aim.
//
// It answers, for one client, one Service port and one HTTP request or TCP connection: which share goes to which backend
// (TS-1 to TS-10), which pods it may reach with which probability, and whether each lets it in (ID, PR-1, PR-2, SP, AC).
//
// It never judges what a single request does not show: certificates (ID-2, ID-6), upgrades and retries (PR-3, PR-4 but for the
// removed headers), UDP (AC-11), timing (AC-17, TS-11), status, metrics, and older API versions (AC-15, VE).
//
// Where a rule leaves something open, the comment at that place says "Reading:" and follows the principle behind the rules:
// whatever cannot be resolved grants nothing and never widens.
package oracle
