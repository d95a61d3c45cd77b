{{/* Annotations of a hook: list <events> <weight>. What has done its work goes; what
failed stays to be looked at, until the next attempt. */}}
{{- define "smi.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
{{- end -}}
