{{/* What every pod of the project has: no more rights than it needs. */}}
{{- define "smi.pod" -}}
enableServiceLinks: false
automountServiceAccountToken: true
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What every container of the project has. */}}
{{- define "smi.container" -}}
image: {{ include "smi.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* A Job of a hook: dict "root" $ "name" ... "account" ... "args" (list ...). */}}
{{- define "smi.job" -}}
{{- $root := .root -}}
spec:
  backoffLimit: 2
  activeDeadlineSeconds: {{ $root.Values.hooks.timeoutSeconds }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ .name }}
        {{- include "smi.labels" $root | nindent 8 }}
    spec:
      serviceAccountName: {{ .account }}
      restartPolicy: Never
      {{- include "smi.pod" $root | nindent 6 }}
      {{- with $root.Values.hooks.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.hooks.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: smi
          {{- include "smi.container" $root | nindent 10 }}
          args:
            {{- toYaml .args | nindent 12 }}
          resources:
            {{- toYaml $root.Values.hooks.resources | nindent 12 }}
{{- end -}}
