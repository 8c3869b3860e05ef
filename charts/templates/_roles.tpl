{{/* Owns what tells the services apart: module, ports, image, mounts and environment of each role. */}}

{{/* A role's values on top of those of all pods. Takes root and role. */}}
{{- define "splitwiser.role" -}}
{{- $own := get (dict "otel" .root.Values.otel.collector "mps" .root.Values.mps.daemonset) .role | default (get .root.Values .role) -}}
{{- mergeOverwrite (deepCopy .root.Values.pods) (deepCopy $own) | toYaml -}}
{{- end -}}

{{/* A role's ports: grpc, metrics, http where it has one, and health where probes, which speak no TLS, need one of their own.
     In one pod no two containers can listen on the same port. Takes root and role. */}}
{{- define "splitwiser.ports" -}}
{{- $offset := 0 -}}
{{- if eq .root.Values.topology "pod" }}{{ $offset = get (dict "prefill" 1 "decode" 2) .role | default 0 }}{{ end -}}
grpc: {{ get (dict "router" 50051 "prefill" 50052 "decode" 50053 "store" 50054) .role }}
metrics: {{ add 9090 $offset }}
{{- if and .root.Values.tls.enabled (ne .role "store") }}
health: {{ add 50055 $offset }}
{{- end }}
{{- if and .root.Values.router.http.enabled (eq .role "router") }}
http: 8000
{{- end }}
{{- end -}}

{{- define "splitwiser.isWorker" -}}
{{- if has . (list "prefill" "decode") }}true{{ end -}}
{{- end -}}

{{/* The image of a role's container. Takes root and role. */}}
{{- define "splitwiser.roleImage" -}}
{{- $image := (include "splitwiser.role" . | fromYaml).image -}}
{{- if include "splitwiser.isWorker" .role -}}
{{- $onCpu := ternary "splitwiser-worker-vllm" "splitwiser-worker" (eq .root.Values.engine "vllm") -}}
{{- $usual := ternary "splitwiser-worker-gpu" $onCpu (eq .root.Values.device "gpu") -}}
{{- $image = merge (dict "repository" (default $usual .root.Values.worker.image.repository)) .root.Values.worker.image -}}
{{- end -}}
{{- include "splitwiser.image" (dict "root" .root "image" $image) -}}
{{- end -}}

{{/* Arguments of `python -m`, the images' entry point. Takes root and role. */}}
{{- define "splitwiser.args" -}}
{{- $ports := include "splitwiser.ports" . | fromYaml -}}
{{- $full := include "splitwiser.fullname" .root -}}
- services.{{ .role }}
- --config=/etc/splitwiser/settings.json
- --instance=$(POD_NAME)
- --listen=0.0.0.0:{{ $ports.grpc }}
{{- with $ports.health }}
- --health-listen=0.0.0.0:{{ . }}
{{- end }}
{{- if eq .role "router" }}
{{- range $phase := list "prefill" "decode" }}
{{- $worker := include "splitwiser.ports" (dict "root" $.root "role" $phase) | fromYaml }}
- --{{ $phase }}=dns:{{ $full }}-{{ $phase }}:{{ $worker.grpc }}
{{- end }}
{{- end }}
{{- with (include "splitwiser.role" . | fromYaml).extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "splitwiser.env" -}}
{{- $values := .root.Values -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: HOME
  value: /tmp
{{- /* torch asks who runs it, and this user has no entry in the image. */}}
- name: USER
  value: splitwiser
{{- if and (ne .role "store") $values.redis.existingSecret }}
- name: SPLITWISER_REDIS__PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $values.redis.existingSecret }}, key: {{ $values.redis.existingSecretKey }}}}
{{- end }}
{{- if ne .role "store" }}
{{- include "splitwiser.modelEnv" . }}
{{- end }}
{{- if ne .role "store" }}
- name: SPLITWISER_DRAIN__GRACE_S
  value: {{ include "splitwiser.drainSeconds" . | quote }}
{{- end }}
{{- if eq .role "router" }}
- name: SPLITWISER_DRAIN__LAME_DUCK_S
  value: {{ $values.router.lameDuckSeconds | quote }}
{{- end }}
{{- $ports := include "splitwiser.ports" . | fromYaml }}
{{- if ne ($ports.metrics | int) 9090 }}
- name: SPLITWISER_TELEMETRY__METRICS_PORT
  value: {{ $ports.metrics | quote }}
{{- end }}
{{- if and (eq $values.device "gpu") (include "splitwiser.isWorker" .role) }}
{{- include "splitwiser.gpuEnv" . }}
{{- end }}
{{- with (include "splitwiser.role" . | fromYaml).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What is left of the pod's grace period for requests in flight, with some seconds for the end itself. Takes root and role. */}}
{{- define "splitwiser.drainSeconds" -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
{{- $pod := $role -}}
{{- if and (eq .root.Values.topology "pod") (ne .role "router") }}{{ $pod = include "splitwiser.role" (dict "root" .root "role" "store") | fromYaml }}{{ end -}}
{{- sub $pod.terminationGracePeriodSeconds (add 5 (default 0 $role.lameDuckSeconds)) -}}
{{- end -}}

{{- define "splitwiser.modelEnv" -}}
{{- $values := .root.Values }}
- name: HF_HOME
  value: /tmp/huggingface
{{- if or $values.models.existingClaim $values.models.hostPath }}
- name: HF_HUB_OFFLINE
  value: "1"
{{- end }}
{{- if $values.models.tokenSecret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $values.models.tokenSecret }}, key: {{ $values.models.tokenSecretKey }}}}
{{- end }}
{{- end -}}

{{- define "splitwiser.mounts" -}}
{{- $values := .root.Values -}}
- {name: settings, mountPath: /etc/splitwiser/settings.json, subPath: settings.json, readOnly: true}
- {name: {{ include "splitwiser.runVolume" . }}, mountPath: /run/splitwiser}
- {name: {{ include "splitwiser.tmpVolume" . }}, mountPath: /tmp}
{{- if $values.tls.enabled }}
- {name: tls, mountPath: /etc/splitwiser/tls, readOnly: true}
{{- end }}
{{- if ne .role "router" }}
{{- /* Connecting writes nothing into the folder. */}}
- {name: socket, mountPath: /run/splitwiser-store{{ if ne .role "store" }}, readOnly: true{{ end }}}
{{- end }}
{{- if and (ne .role "store") (include "splitwiser.modelsVolume" .root) }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- if and (eq (include "splitwiser.ownMps" .root) "true") (include "splitwiser.isWorker" .role) }}
{{- include "splitwiser.mpsMounts" . | nindent 0 }}
{{- end }}
{{- with (include "splitwiser.role" . | fromYaml).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A pod's roles share neither /tmp nor the folder of their cards and timelines. */}}
{{- define "splitwiser.runVolume" -}}
{{- ternary (printf "run-%s" .role) "run" (and (eq .root.Values.topology "pod") (ne .role "router")) -}}
{{- end -}}
{{- define "splitwiser.tmpVolume" -}}
{{- ternary (printf "tmp-%s" .role) "tmp" (and (eq .root.Values.topology "pod") (ne .role "router")) -}}
{{- end -}}

{{- define "splitwiser.modelsVolume" -}}
{{- if .Values.models.existingClaim -}}
persistentVolumeClaim: {claimName: {{ .Values.models.existingClaim }}, readOnly: true}
{{- else if .Values.models.hostPath -}}
hostPath: {path: {{ .Values.models.hostPath }}, type: Directory}
{{- end -}}
{{- end -}}

{{- define "splitwiser.socketPath" -}}
{{- default (printf "/run/splitwiser/%s.%s/store" .Release.Namespace (include "splitwiser.fullname" .)) .Values.socket.hostPath -}}
{{- end -}}
