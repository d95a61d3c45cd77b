{{/* Labels of everything. */}}
{{- define "smi.labels" -}}
app.kubernetes.io/part-of: smi
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{/* Labels by which the controller's pods are found. They never change. */}}
{{- define "smi.selector" -}}
app.kubernetes.io/name: smi-controller
{{- end -}}

{{/* The reference of the image smi. */}}
{{- define "smi.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{ .Values.image.names.smi }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* How many controllers run. */}}
{{- define "smi.replicas" -}}
{{- if .Values.highAvailability -}}
{{ max 2 (int .Values.controller.replicas) }}
{{- else -}}
{{ int .Values.controller.replicas }}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the user wrote, over what the chart knows. */}}
{{- define "smi.config" -}}
{{- $image := dict
  "registry" .Values.image.registry
  "name" .Values.image.names.proxy
  "tag" (.Values.image.tag | default .Chart.AppVersion)
  "pullPolicy" .Values.image.pullPolicy
  "pullSecrets" .Values.image.pullSecrets -}}
{{- $known := dict "service" "smi-controller" "image" $image -}}
{{- $header := dict "apiVersion" "config.smi-spec.io/v1alpha1" "kind" "ControllerConfig" -}}
{{- mergeOverwrite $header $known (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{/* The names of the definitions, one per line. */}}
{{- define "smi.crds" -}}
- identitybindings.access.smi-spec.io
- traffictargets.access.smi-spec.io
- httproutegroups.specs.smi-spec.io
- tcproutes.specs.smi-spec.io
- udproutes.specs.smi-spec.io
- trafficsplits.split.smi-spec.io
{{- end -}}
