package main

// mutant is a way to break a rule: in one file, one place that stands there once is
// replaced.
type mutant struct {
	name string
	// rule is the one that it breaks.
	rule     string
	file     string
	old, new string
}

// mutants are what the suite has to notice.
var mutants = []mutant{
	// Who is who.
	{"binding-speaks-for-others", "ID-4", "internal/compile/identity.go", "case a.Namespace != in.object.Namespace:", "case false:"},
	{"empty-selector-means-all", "ID-4", "internal/compile/identity.go", "case selector != nil && len(selector.MatchLabels) == 0:", "case false:"},
	{"selector-widens-to-account", "ID-5", "internal/compile/identity.go", "if selected[a] == all[a] {", "if selected[a] > 0 {"},
	{"plaintext-accepted", "ID-3", "internal/compile/workload.go", "Plaintext: in.pod.plaintext[number]})", "Plaintext: true})"},

	{"unknown-roots-trusted", "ID-2", "internal/render/envoy/tls.go", "DefaultValidationContext: &tlsv3.CertificateValidationContext{", "DefaultValidationContext: &tlsv3.CertificateValidationContext{\n\t\t\t\t\tTrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED,"},
	{"expired-certificates-accepted", "ID-2", "internal/render/envoy/tls.go", "DefaultValidationContext: &tlsv3.CertificateValidationContext{", "DefaultValidationContext: &tlsv3.CertificateValidationContext{\n\t\t\t\t\tAllowExpiredCertificate: true,"},
	{"any-server-of-the-mesh-believed", "ID-6", "internal/render/envoy/tls.go", "CommonTlsContext: commonTLS(exactMatcher(string(p)))", "CommonTlsContext: commonTLS(regexMatcher(`spiffe://.+`))"},

	// What a port speaks.
	{"port-name-ignored", "PR-1", "internal/compile/protocol.go", "if protocol, ok := byPortName[name]; ok {", "if protocol, ok := byPortName[name+\"?\"]; ok {"},
	{"contradiction-is-http", "PR-1", "internal/compile/protocol.go", "default:\n\t\treturn mesh.TCP", "default:\n\t\treturn mesh.HTTP"},
	{"usual-ports-forgotten", "PR-2", "internal/compile/protocol.go", "if protocol == mesh.Undeclared && mesh.UsuallyServerFirst(number) {", "if false && mesh.UsuallyServerFirst(number) {"},
	{"http2-not-recognised", "PR-2", "internal/render/envoy/listener_inner.go", `"'http/1.1'", "'h2c'"}`, `"'http/1.1'"}`},
	{"silence-is-http", "PR-2", "internal/compile/protocol.go", "\t}\n\treturn mesh.Undeclared\n}", "\t}\n\treturn mesh.HTTP\n}"},
	{"websocket-refused", "PR-3", "internal/render/envoy/http.go", `{{UpgradeType: "websocket"}}`, "{}"},
	{"another-upgrade-passes", "PR-3", "internal/render/envoy/http.go", `{{UpgradeType: "websocket"}}`, `{{UpgradeType: "websocket"}, {UpgradeType: "example/1"}}`},
	{"envoy-headers-kept", "PR-4", "internal/render/envoy/http.go", `x-envoy-\C*|x[-_]`, "x[-_]"},
	{"underscores-kept", "PR-4", "internal/render/envoy/http.go", "x[-_]forwarded[-_]client[-_]cert", "x-forwarded-client-cert"},
	{"requests-time-out", "PR-4", "internal/render/envoy/route.go", "ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: seconds(0),", "ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: seconds(15),"},
	{"failures-tried-again", "PR-4", "internal/render/envoy/route.go", `"connect-failure,refused-stream"`, `"connect-failure,refused-stream,5xx"`},

	// What a match selects.
	{"alternatives-escape", "SP-1", "internal/render/envoy/regex.go", "func pathExpression(expr string) string { return \"(?:\" + expr + `)\\C*` }", "func pathExpression(expr string) string { return expr + `\\C*` }"},
	{"path-not-anchored", "SP-2", "internal/render/envoy/regex.go", "return \"(?:\" + expr + `)\\C*` }", "return `\\C*(?:` + expr + `)\\C*` }"},
	{"path-anchored-at-the-end", "SP-2", "internal/render/envoy/regex.go", "return \"(?:\" + expr + `)\\C*` }", "return \"(?:\" + expr + `)` }"},
	{"header-by-substring", "SP-3", "internal/render/envoy/regex.go", "func valueExpression(expr string) string { return \"(?:\" + expr + \")\" }", "func valueExpression(expr string) string { return `\\C*(?:` + expr + `)\\C*` }"},
	{"header-values-one-by-one", "SP-3", "internal/agent/bootstrap.go", "structpb.NewBoolValue(false)\n\t}\n\tif !release.Before(Release{1, 40})", "structpb.NewBoolValue(true)\n\t}\n\tif !release.Before(Release{1, 40})"},
	{"methods-ignored", "SP-4", "internal/compile/route.go", "m.Methods = buildMethods(r, field, written.Methods)", "buildMethods(r, field, written.Methods)"},
	{"headers-ignored", "SP-5", "internal/compile/route.go", "m.Headers = append(m.Headers, mesh.HeaderMatch{Name: strings.ToLower(h.Name), Value: h.Value})", ""},
	{"invalid-expression-ignored", "SP-1", "internal/compile/route.go", "\tif !ok {\n\t\treturn nil\n\t}\n\treturn m", "\tif !ok {\n\t\tm.Path, m.Headers = \"\", nil\n\t}\n\treturn m"},
	{"ports-widen-to-all", "SP-7", "internal/compile/target.go", "return &mesh.Grant{Ports: ports.within(true), Connections: true} // AC-8", "return &mesh.Grant{Connections: true}"},
	{"lists-of-headers-not-read", "SP-6", "api/specs/v1alpha4/headers.go", "return p.list()", "return errHeaderForm"},
	{"lists-of-many-names-read", "SP-6", "api/specs/v1alpha4/headers.go", "n != 1 {", "n < 1 {"},
	{"headers-without-bound", "SP-6", "api/specs/v1alpha4/headers.go", "case len(p.entries) == MaxHeaders:", "case false:"},
	{"last-of-a-name-holds", "SP-6", "internal/compile/route.go", "slices.SortStableFunc(m.Headers, func(a, b mesh.HeaderMatch) int { return strings.Compare(a.Name, b.Name) })", "slices.SortStableFunc(m.Headers, func(a, b mesh.HeaderMatch) int { return strings.Compare(a.Name, b.Name) })\n\tm.Headers = slices.CompactFunc(m.Headers, func(a, b mesh.HeaderMatch) bool { return a.Name == b.Name })"},
	{"grpc-by-service", "SP-8", "internal/compile/route.go", "m.Path = written.PathRegex", "m.Path = regexp.MustCompile(`^(/[\\w.]+\\.\\w+/)\\w+\\$?$`).ReplaceAllString(written.PathRegex, \"$1\")"},
	{"dots-kept", "SP-9", "internal/render/envoy/http.go", "NormalizePath:                 yes()", "NormalizePath:                 no()"},
	{"encoded-slashes-decoded", "SP-9", "internal/render/envoy/http.go", "slashes := hcmv3.HttpConnectionManager_REJECT_REQUEST", "slashes := hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD"},
	{"repeated-slashes-merged", "SP-9", "internal/render/envoy/http.go", "NormalizePath:                 yes()", "MergeSlashes: true, NormalizePath: yes()"},
	{"dots-with-parameters-pass", "SP-9", "internal/render/envoy/http.go", "{1,2};", "{3};"},

	// Who may call whom.
	{"strict-is-not-the-default", "AC-1", "internal/compile/pod.go", "return &namespaceMode{mode: in.config.standard}", "return &namespaceMode{mode: mesh.Permissive}"},
	{"nothing-closed-in-strict-mode", "AC-17", "mesh/access.go", "return m != Permissive && m != Audit", "return false && m != Permissive && m != Audit"},
	{"only-the-first-target", "AC-3", "internal/compile/workload.go", "for i, t := range in.targets {\n\t\tp.Grants[i] = t.grant", "for i := range in.targets {\n\t\tp.Grants[i] = in.targets[0].grant"},
	{"foreign-destination", "AC-5", "internal/compile/target.go", "case d.Namespace != \"\" && d.Namespace != in.object.Namespace:", "case false:"},
	{"source-namespace-ignored", "AC-5", "internal/compile/target.go", "return []mesh.Account{{Namespace: namespace, Name: s.Name}}", "return []mesh.Account{{Namespace: in.object.Namespace, Name: s.Name}}"},
	{"listed-matches-ignored", "AC-6", "internal/compile/target.go", "if len(written.Matches) == 0 {\n\t\treturn group.matches", "if true {\n\t\treturn group.matches"},
	{"restriction-ignored", "AC-9", "internal/compile/target.go", "return &mesh.Grant{Ports: ports.within(tcp), Matches: uniqueMatches(matches)} // AC-9, AC-10", "return &mesh.Grant{Matches: uniqueMatches(matches)}"},
	{"restriction-opens", "AC-9", "internal/compile/target.go", "case http:\n\t\treturn", "case http && tcp:\n\t\treturn &mesh.Grant{Ports: ports.within(true), Connections: true}\n\tcase http:\n\t\treturn"},
	{"unknown-kind-ignored", "AC-8", "internal/compile/target.go", "case tcp && !unknown:", "case tcp && (unknown || !unknown):"},
	{"requests-open-connections", "AC-10", "internal/compile/target.go", "Matches: uniqueMatches(matches)} // AC-9, AC-10", "Matches: uniqueMatches(matches), Connections: true} // AC-9, AC-10"},
	{"unknown-mode-is-permissive", "AC-16", "internal/compile/pod.go", "mode = mesh.Strict\n", "mode = mesh.Permissive\n"},
	{"permissive-ignored", "AC-16", "internal/compile/pod.go", "mode := mesh.Mode(label)", "mode, _ := mesh.Strict, label"},
	{"withdrawn-streams-live", "AC-17", "internal/controlplane/withdrawal.go", "epochs = epochs.Bump(before.Account, port, slices.Collect(maps.Keys(sources))...)", "_, _ = port, slices.Collect(maps.Keys(sources))"},
	{"plaintext-port-ignored", "AC-18", "internal/compile/pod.go", "ports[number] = true\n", "ports[number] = false\n"},
	{"server-judges-no-connection", "AC-13", "internal/render/envoy/listener_inner.go", `tcpProxy("denied", clusterDenied, p.tcpLog(denied))`, `tcpProxy("denied", inboundName(number), p.tcpLog(denied))`},
	{"server-judges-no-request", "AC-2", "internal/render/envoy/access.go", "denyAll = encode(&xdsmatcherv3.Matcher{OnNoMatch: deny})", "denyAll = encode(&xdsmatcherv3.Matcher{OnNoMatch: allowPlaintext})"},
	{"denied-as-if-not-there", "AC-12", "internal/render/envoy/listener_outbound.go", `directResponse(403, "smi: denied\n")`, `directResponse(404, "smi: denied\n")`},
	{"denial-without-words", "AC-12", "internal/render/envoy/http.go", "{Filter: statusIs403(), BodyFormatOverride: text(forbidden)}", `{Filter: statusIs403(), BodyFormatOverride: text("")}`},
	{"failures-counted-as-denials", "AC-12", "internal/agent/accesslog/convert.go", `if bytes.HasPrefix(r.details, []byte("rbac_access_denied")) ||`, `if e.Code >= 500 || bytes.HasPrefix(r.details, []byte("rbac_access_denied")) ||`},
	{"denied-connections-not-counted", "AC-12", "internal/agent/accesslog/convert.go", "e.Denied = e.Denied || e.Grant == Denied", "e.Denied = e.Denied || e.Grant == Denied && e.Protocol != TCP"},

	// Where traffic goes.
	{"weights-off-by-one", "TS-2", "internal/compile/split.go", "weight: uint32(b.Weight)})", "weight: uint32(b.Weight) + 1})"},
	{"weights-ignored", "TS-2", "internal/compile/split.go", "Port: port.number, Weight: b.weight})", "Port: port.number, Weight: 1})"},
	{"weight-0-gets-something", "TS-3", "internal/compile/split.go", "case b.weight == 0: // TS-3", "case false:"},
	{"split-by-target-port", "TS-4", "internal/compile/split.go", "p := b.service.port(port.number)", "p := b.service.port(port.number + 1)"},
	{"empty-backend-skipped", "TS-5", "internal/compile/split.go", "case s.skipEmpty && !p.ready():", "case !p.ready():"},
	{"empty-backend-never-skipped", "TS-5", "internal/compile/split.go", "case s.skipEmpty && !p.ready():", "case false:"},
	{"split-matches-ignored", "TS-6", "internal/compile/split.go", "conditional: len(o.Spec.Matches) > 0,", "conditional: false,"},
	{"conflict-the-other-way", "TS-7", "internal/compile/split.go", "sorted := slices.SortedFunc(slices.Values(all), compareSplits)", "sorted := slices.SortedFunc(slices.Values(all), func(a, b *resolvedSplit) int { return compareSplits(b, a) })"},
	{"youngest-matches-first", "TS-7", "internal/compile/split.go", "a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time),\n\t\ta.name.Compare(b.name),", "b.object.CreationTimestamp.Compare(a.object.CreationTimestamp.Time),\n\t\tb.name.Compare(a.name),"},
	{"matches-on-tcp", "TS-9", "internal/compile/split.go", "case s.conditional && port.protocol == mesh.TCP:", "case s.conditional && port.protocol == mesh.TCP:\n\t\t\talways := *s\n\t\t\talways.matches = nil\n\t\t\tapplied = append(applied, splitOn(r, &always, port))"},
	{"full-name-refused", "TS-1", "internal/compile/split.go", `namespace + ".svc", namespace + ".svc." + clusterDomain:`, `namespace + ".svc":`},
	{"final-dot-accepted", "TS-1", "internal/compile/split.go", `if strings.HasSuffix(written, ".") {`, "if false {"},
	{"root-elsewhere", "TS-1", "internal/compile/split.go", "\tdefault:\n\t\treturn mesh.Name{}, false\n\t}", "\tdefault:\n\t\telsewhere, _, _ := strings.Cut(rest, \".\")\n\t\treturn mesh.Name{Namespace: elsewhere, Name: name}, true\n\t}"},
	{"headless-root-split", "TS-1", "internal/compile/split.go", "case in.root.headless:", "case false:"},
	{"root-left-out", "TS-8", "internal/compile/split.go", "case b.weight == 0: // TS-3", "case b.weight == 0 || b.name == s.object.Spec.Service: // TS-3"},
	{"root-judges-for-backends", "TS-10", "internal/compile/workload.go", "for _, port := range in.ports {", "for _, port := range in.ports[:1] {"},
	{"idle-connections-closed", "TS-11", "internal/render/envoy/tcp.go", "IdleTimeout:      seconds(0)", "IdleTimeout:      seconds(2)"},
}
