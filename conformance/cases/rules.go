package cases

// Unproven are the rules that no case proves, with the reason. Every other rule
// of docs/semantics.md has a case.
var Unproven = map[string]string{
	"AC-15": "the field belongs to versions that are not read yet",
	"TS-13": "what a controller writes shows in an API server only",
	"TM-1":  "the traffic metrics API is not served yet",
	"TM-2":  "the traffic metrics API is not served yet",
	"TM-3":  "the traffic metrics API is not served yet",
	"TM-4":  "the traffic metrics API is not served yet",
	"TM-5":  "the traffic metrics API is not served yet",
	"TM-6":  "the traffic metrics API is not served yet",
	"TM-7":  "the traffic metrics API is not served yet",
	"TM-8":  "the traffic metrics API is not served yet",
	"VE-1":  "older versions are not read yet",
	"VE-2":  "conversions happen in an API server",
	"VE-3":  "adoption happens in an API server",
}
