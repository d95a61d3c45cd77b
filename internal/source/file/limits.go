package file

// Bounds of what is read. What exceeds them is refused before it is parsed, or
// where aliases make it grow, before it is written out.
const (
	// MaxFileBytes is the largest file.
	MaxFileBytes = 64 << 20
	// MaxObjectBytes is the largest object, about what a cluster accepts.
	MaxObjectBytes = 1 << 20
	// MaxListBytes is the largest document that holds a list of objects.
	MaxListBytes = 5 << 20
	// MaxReplicas is the largest number of Pods that one workload is given.
	MaxReplicas = 10_000
	// MaxPods is the largest number of Pods that all workloads are given.
	MaxPods = 100_000

	// maxDocuments is the largest number of documents in a file.
	maxDocuments = 100_000
	// maxDepth is how deep lists and objects are nested.
	maxDepth = 200
	// maxMerged is how many fields `<<` copies in a document.
	maxMerged = 100_000
	// maxIssues is how many findings one object gets.
	maxIssues = 20
)
