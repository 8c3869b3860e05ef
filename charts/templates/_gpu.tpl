{{/* Owns how workers come to their part of the GPU, by mps.mode. */}}

{{- define "splitwiser.ownMps" -}}
{{- and (eq .Values.device "gpu") (eq .Values.mps.mode "daemonset") -}}
{{- end -}}

{{/* The extended resource that each worker asks one of; nothing where there is none. */}}
{{- define "splitwiser.gpuResource" -}}
{{- if eq .Values.device "gpu" -}}
{{- get (dict "devicePlugin" .Values.mps.devicePlugin.resourceName "none" .Values.mps.devicePlugin.resourceName
    "daemonset" .Values.mps.daemonset.resourceName "dra" "") .Values.mps.mode -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.dra" -}}
{{- if and (eq .Values.device "gpu") (eq .Values.mps.mode "dra") }}true{{ end -}}
{{- end -}}

{{/* CUDA reads priority and cap once, at a process's start. Takes root and role. */}}
{{- define "splitwiser.gpuEnv" -}}
{{- $role := index .root.Values .role }}
- name: NVIDIA_DRIVER_CAPABILITIES
  value: compute,utility
{{- if ne .root.Values.mps.mode "none" }}
- name: CUDA_MPS_CLIENT_PRIORITY
  value: {{ ternary "1" "0" (eq $role.priority "below-normal") | quote }}
{{- with include "splitwiser.smPercent" . }}
- name: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if eq (include "splitwiser.ownMps" .root) "true" }}
{{ include "splitwiser.mpsEnv" .root }}
{{- end }}
{{- end -}}

{{/* Resources of a container: the role's own, and its part of the GPU. Takes root and role. */}}
{{- define "splitwiser.resources" -}}
{{- $resources := (include "splitwiser.role" . | fromYaml).resources -}}
{{- if include "splitwiser.isWorker" .role -}}
{{- with include "splitwiser.gpuResource" .root }}
{{- $resources = merge $resources (dict "limits" (dict . 1)) }}
{{- end }}
{{- if include "splitwiser.dra" .root }}
{{- $resources = merge $resources (dict "claims" (list (dict "name" "gpu"))) }}
{{- end }}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "splitwiser.mpsPath" -}}
{{- default (printf "/run/splitwiser/%s.%s/mps" .Release.Namespace (include "splitwiser.fullname" .)) .Values.mps.daemonset.hostPath -}}
{{- end -}}

{{/* What the own daemon and its clients have in common, which CUDA expects to be the same on both sides. */}}
{{- define "splitwiser.mpsEnv" -}}
- name: CUDA_MPS_PIPE_DIRECTORY
  value: /run/splitwiser-mps/pipe
- name: CUDA_MPS_LOG_DIRECTORY
  value: /run/splitwiser-mps/log
- name: NVIDIA_VISIBLE_DEVICES
  value: {{ .Values.mps.daemonset.visibleDevices | quote }}
{{- end -}}

{{/* The daemon and its clients also meet in shared memory: the only thing that is ever mounted at /dev/shm. */}}
{{- define "splitwiser.mpsMounts" -}}
- {name: mps, mountPath: /run/splitwiser-mps}
- {name: mps-shm, mountPath: /dev/shm}
{{- end -}}

{{- define "splitwiser.mpsVolumes" -}}
- name: mps
  hostPath: {path: {{ include "splitwiser.mpsPath" . }}, type: DirectoryOrCreate}
- name: mps-shm
  hostPath: {path: {{ include "splitwiser.mpsPath" . }}/shm, type: DirectoryOrCreate}
{{- end -}}
