package store

// Find returns the object of a kind such as "Pod" by its name, and whether there is
// one. A kind that has no table has no objects.
func (s *Snapshot) Find(kind, namespace, name string) (Object, bool) {
	switch kind {
	case "Namespace":
		return found(s.Namespaces, namespace, name)
	case "Pod":
		return found(s.Pods, namespace, name)
	case "ServiceAccount":
		return found(s.ServiceAccounts, namespace, name)
	case "Service":
		return found(s.Services, namespace, name)
	case "EndpointSlice":
		return found(s.EndpointSlices, namespace, name)
	case "TrafficTarget":
		return found(s.TrafficTargets, namespace, name)
	case "IdentityBinding":
		return found(s.IdentityBindings, namespace, name)
	case "HTTPRouteGroup":
		return found(s.HTTPRouteGroups, namespace, name)
	case "TCPRoute":
		return found(s.TCPRoutes, namespace, name)
	case "UDPRoute":
		return found(s.UDPRoutes, namespace, name)
	case "TrafficSplit":
		return found(s.TrafficSplits, namespace, name)
	}
	return nil, false
}

func found[T Object](t *Table[T], namespace, name string) (Object, bool) {
	o, ok := t.Get(namespace, name)
	return o, ok
}
