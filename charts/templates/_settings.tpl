{{/* Owns settings.json: what the chart derives from its values, then what .Values.settings adds. docs/configuration.md */}}

{{- define "splitwiser.redisUrl" -}}
{{- if .Values.redis.enabled -}}
{{ ternary "rediss" "redis" .Values.redis.tls }}://{{ include "splitwiser.fullname" . }}-redis:6379/0
{{- if .Values.redis.tls }}?ssl_ca_certs=/etc/splitwiser/tls/ca.crt{{ end }}
{{- else -}}
{{ .Values.redis.external.url }}
{{- end -}}
{{- end -}}

{{- define "splitwiser.otlpEndpoint" -}}
{{- if .Values.otel.collector.enabled }}http://{{ include "splitwiser.fullname" . }}-otel:4317
{{- else }}{{ .Values.otel.endpoint }}
{{- end -}}
{{- end -}}

{{/* The cap of a phase in %, or nothing where there is none. Takes root and role. */}}
{{- define "splitwiser.smPercent" -}}
{{- if include "splitwiser.isWorker" .role -}}
{{- $mps := .root.Values.mps -}}
{{- $asked := (include "splitwiser.role" . | fromYaml).smPercent -}}
{{- if $asked }}{{ $asked | int }}
{{- else if and (eq .root.Values.device "gpu") (eq $mps.mode "devicePlugin") }}{{ div 100 ($mps.devicePlugin.replicas | int) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The multiprocessors that settings.gpu confines a phase to, or nothing. Takes root and role. */}}
{{- define "splitwiser.partition" -}}
{{- with (.root.Values.settings.gpu | default dict) }}{{ with index . (printf "%s_sms" $.role) }}{{ . | int }}{{ end }}{{ end -}}
{{- end -}}

{{/* Settings that the chart derives, as YAML. */}}
{{- define "splitwiser.ownSettings" -}}
run_dir: /run/splitwiser
engine:
  kind: {{ .Values.engine }}
  model: {{ .Values.model | quote }}
  device: {{ ternary "cuda" "cpu" (eq .Values.device "gpu") }}
prefill:
  workers: {{ .Values.prefill.replicas }}
decode:
  workers: {{ .Values.decode.replicas }}
{{- if eq .Values.device "gpu" }}
gpu:
  sharing: {{ ternary "time-slice" "mps" (eq .Values.mps.mode "none") }}
  prefill_priority: {{ .Values.prefill.priority }}
  decode_priority: {{ .Values.decode.priority }}
  {{- range $role := list "prefill" "decode" }}
  {{- with include "splitwiser.smPercent" (dict "root" $ "role" $role) }}
  {{ $role }}_sm_percent: {{ . }}
  {{- end }}
  {{- end }}
{{- end }}
router:
  allow_plaintext: {{ not .Values.tls.enabled }}
  {{- /* So that clients with a standing connection have left a router that drains before it stops listening. */}}
  max_connection_age_s: {{ max 1 (div (mul 7 .Values.router.lameDuckSeconds) 10) }}
  {{- if .Values.router.http.enabled }}
  http_listen: 0.0.0.0:8000
  {{- end }}
{{- if .Values.tls.enabled }}
tls:
  cert_file: /etc/splitwiser/tls/tls.crt
  key_file: /etc/splitwiser/tls/tls.key
  ca_file: /etc/splitwiser/tls/ca.crt
{{- end }}
store:
  {{- /* An emptyDir is root's and everybody's; the store makes a folder of its own in it. */}}
  socket: /run/splitwiser-store/{{ if eq .Values.topology "pod" }}own/{{ end }}store.sock
  name: {{ include "splitwiser.fullname" . }}
redis:
  url: {{ include "splitwiser.redisUrl" . | quote }}
telemetry:
  metrics_host: 0.0.0.0
  metrics_port: 9090
  {{- with include "splitwiser.otlpEndpoint" . }}
  otlp_endpoint: {{ . }}
  {{- end }}
{{- end -}}

{{/* Settings that values may change. */}}
{{- define "splitwiser.defaultSettings" -}}
telemetry:
  log_format: json
{{- end -}}

{{- define "splitwiser.settings" -}}
{{- $own := include "splitwiser.ownSettings" . | fromYaml -}}
{{- $default := include "splitwiser.defaultSettings" . | fromYaml -}}
{{- mergeOverwrite $default (deepCopy .Values.settings) $own | toPrettyJson -}}
{{- end -}}

{{/* Changes when a role has to start anew. The store knows no requests, and so no spans, nor how many workers there are.
     Takes root and role. */}}
{{- define "splitwiser.settingsChecksum" -}}
{{- $settings := include "splitwiser.settings" .root | fromJson -}}
{{- if eq .role "store" }}
{{- $settings = pick $settings "run_dir" "engine" "pool" "store" "telemetry" "tls" }}
{{- $_ := set $settings "telemetry" (omit $settings.telemetry "otlp_endpoint" "record_content") }}
{{- else if ne .role "router" }}
{{- $settings = omit $settings "router" }}
{{- end -}}
{{- $settings | toJson | sha256sum -}}
{{- end -}}
