{{/* Owns what a GPU cannot be shared like, by mps.mode. */}}

{{- define "splitwiser.refuseCaps" -}}
{{- range $role := list "prefill" "decode" -}}
{{- if (index $.Values $role).smPercent -}}
{{- $without := ternary "device is cpu" "mps.mode none has no MPS" (eq $.Values.device "cpu") -}}
{{- include "splitwiser.refuse" (dict "error" (printf "%s.smPercent is set, and %s: nothing would cap it" $role $without)
    "help" (printf "leave %s.smPercent out, or set device=gpu with another mps.mode" $role)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseGpu" -}}
{{- $mps := .Values.mps -}}
{{- if eq $mps.mode "devicePlugin" }}{{ include "splitwiser.refusePlugin" . }}{{ end -}}
{{- if eq $mps.mode "none" }}{{ include "splitwiser.refuseCaps" . }}{{ end -}}
{{- if and (eq $mps.mode "daemonset") (eq .Values.topology "pod") -}}
{{- include "splitwiser.refuse" (dict "error" "mps.mode daemonset meets its workers in a folder on the node, and topology pod has none" "help" "set topology=pods, or mps.mode=devicePlugin or dra") -}}
{{- end -}}
{{- if and (eq $mps.mode "daemonset") (not (merge (dict) (default dict $mps.daemonset.nodeSelector) .Values.worker.nodeSelector .Values.pods.nodeSelector)) -}}
{{- include "splitwiser.refuse" (dict "error" "mps.mode daemonset would put an MPS daemon on every node, also on those without a GPU"
    "help" "set worker.nodeSelector to a label of the GPU nodes, such as nvidia.com/gpu.present: \"true\"") -}}
{{- end -}}
{{- if and (eq $mps.mode "dra") (semverCompare "<1.32-0" .Capabilities.KubeVersion.Version) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "mps.mode dra needs Kubernetes 1.32 or newer; this is %s" .Capabilities.KubeVersion.Version) "help" "set mps.mode=devicePlugin or daemonset") -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refusePlugin" -}}
{{- $replicas := .Values.mps.devicePlugin.replicas | int -}}
{{- $most := div 100 $replicas -}}
{{- $workers := add .Values.prefill.replicas .Values.decode.replicas -}}
{{- if gt $workers $replicas -}}
{{- include "splitwiser.refuse" (dict "error" (printf "prefill and decode ask for %d replicas of the GPU, and the plugin makes %d" $workers $replicas)
    "help" "lower prefill.replicas or decode.replicas, or raise the plugin's replicas and mps.devicePlugin.replicas with it") -}}
{{- end -}}
{{- range $role := list "prefill" "decode" -}}
{{- if include "splitwiser.partition" (dict "root" $ "role" $role) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "settings.gpu.%s_sms is set, and the device plugin caps each worker: a capped process cannot split the GPU" $role)
    "help" "leave it out, or set mps.mode=daemonset or dra, which cap nothing by themselves") -}}
{{- end -}}
{{- $asked := (index $.Values $role).smPercent | default 0 | int -}}
{{- if gt $asked ($most | int) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "%s.smPercent is %d, and under the device plugin a worker gets at most 100/%d = %d %% of the multiprocessors" $role $asked $replicas $most)
    "help" (printf "set it to at most %d, or mps.mode=daemonset or dra, which have no such limit" $most)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
