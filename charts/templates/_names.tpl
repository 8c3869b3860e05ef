{{/* Owns names, labels and image references. */}}

{{- define "splitwiser.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* Kubernetes takes 63 characters; the longest suffix, of a Job, has 28. */ -}}
{{- default $full .Values.fullnameOverride | trunc 35 | trimSuffix "-" -}}
{{- end -}}

{{- define "splitwiser.serviceAccount" -}}
{{- default (ternary (include "splitwiser.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* What selects a role's pods; never changes in a release's life. Takes root and component. */}}
{{- define "splitwiser.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes root and component. */}}
{{- define "splitwiser.labels" -}}
{{ include "splitwiser.selector" . }}
app.kubernetes.io/part-of: splitwiser
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* name, namespace and labels of an object. Takes root, component and suffix (empty: the release's own name). */}}
{{- define "splitwiser.metadata" -}}
name: {{ include "splitwiser.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "splitwiser.labels" . | nindent 2 }}
{{- end -}}

{{/* REGISTRY/REPOSITORY:TAG, or @DIGEST. Takes root and image; image.repository is not empty. */}}
{{- define "splitwiser.image" -}}
{{- $registry := default .root.Values.image.registry .image.registry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}
{{- else }}:{{ coalesce .image.tag .root.Values.image.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
