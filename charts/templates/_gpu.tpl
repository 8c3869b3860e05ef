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

{{/* Under most caps most GPUs compute wrong products: no worker starts under one that has not passed the gate, in the very
     environment that it is to run in. Takes root and role. */}}
{{- define "splitwiser.checkCap" -}}
name: check-{{ .role }}-cap
image: {{ include "splitwiser.roleImage" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [splitwiser.stack.check_cap, --config=/etc/splitwiser/settings.json, {{ .role }}]
env: {{- include "splitwiser.env" . | nindent 2 }}
{{- with (include "splitwiser.role" . | fromYaml).extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- include "splitwiser.resources" . | nindent 2 }}
securityContext: {{- toYaml (include "splitwiser.role" . | fromYaml).securityContext | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts: {{- include "splitwiser.mounts" . | nindent 2 }}
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

{{/* What mps.mode can and cannot do, for NOTES. */}}
{{- define "splitwiser.gpuNotes" -}}
{{- $mps := .Values.mps }}
The GPU, mps.mode {{ $mps.mode }}:
{{ if eq $mps.mode "devicePlugin" }}
  Each worker asks for one of {{ $mps.devicePlugin.replicas }} replicas of {{ $mps.devicePlugin.resourceName }}. It gets at most {{ div 100 ($mps.devicePlugin.replicas | int) }} % of the multiprocessors and 1/{{ $mps.devicePlugin.replicas }} of the memory,
  and can only lower that. On nodes of several GPUs the plugin needs sharedDevicesAllocationPolicy: packed, or the two
  workers land on two GPUs.
{{- else if eq $mps.mode "daemonset" }}
  A daemon of this release serves GPU {{ $mps.daemonset.visibleDevices }} of the node. Caps are free, and none is set unless smPercent is. The scheduler
  does not know that the GPU is taken{{ if not $mps.daemonset.resourceName }}: keep other GPU pods off these nodes{{ end }}.
{{- else if eq $mps.mode "dra" }}
  Both workers share the GPU of the claim {{ include "splitwiser.fullname" . }}-gpu. Caps are free, and none is set unless smPercent is.
{{- else }}
  No MPS: the phases compute in turns, which is slower for both. Caps and priorities do nothing.
{{- end }}
{{- if ne $mps.mode "none" }}
  A fatal fault of one worker ends the other too: both come back by themselves. Other users' pods belong on other GPUs.
{{- end }}
{{- end -}}
