{{/* What both webhooks have alike. */}}
{{- define "smi.webhook" -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: smi-controller
    namespace: {{ .Release.Namespace }}
    path: /inject
    port: 443
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods]
    scope: Namespaced
# No pod starts unguarded that should be guarded.
failurePolicy: Fail
matchPolicy: Equivalent
reinvocationPolicy: IfNeeded
sideEffects: None
timeoutSeconds: 10
{{- end -}}
