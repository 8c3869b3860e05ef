{{/* Owns what this cluster cannot run, as far as it can be looked up. `helm template` sees no cluster, and nothing is looked up. */}}

{{- define "splitwiser.refuseCluster" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace -}}
{{- if $namespace -}}
{{- include "splitwiser.refuseNamespace" (dict "root" . "namespace" $namespace) -}}
{{- include "splitwiser.refuseSecrets" . -}}
{{- with include "splitwiser.gpuResource" . }}{{ include "splitwiser.refuseNodes" (dict "root" $ "resource" .) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseNamespace" -}}
{{- $values := .root.Values -}}
{{- $level := get (.namespace.metadata.labels | default dict) "pod-security.kubernetes.io/enforce" -}}
{{- if has $level (list "baseline" "restricted") -}}
{{- $help := "install into a namespace without that label" -}}
{{- if eq $values.topology "pods" -}}
{{- include "splitwiser.refuse" (dict "error" (printf "namespace %s enforces the Pod Security Standard %s, which forbids the hostPath of topology pods" .root.Release.Namespace $level)
    "help" (printf "set topology=pod, or %s" $help)) -}}
{{- end -}}
{{- if or $values.models.hostPath $values.experiments.resultsHostPath -}}
{{- include "splitwiser.refuse" (dict "error" (printf "namespace %s enforces the Pod Security Standard %s, which forbids models.hostPath and experiments.resultsHostPath" .root.Release.Namespace $level)
    "help" (printf "use claims instead, or %s" $help)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Secrets that the values name, and the keys that they need to have. */}}
{{- define "splitwiser.secrets" -}}
{{- $values := .Values -}}
{{- if $values.redis.existingSecret }}
- {value: redis.existingSecret, name: {{ $values.redis.existingSecret }}, keys: [{{ $values.redis.existingSecretKey }}]}
{{- end }}
{{- if $values.tls.enabled }}
- {value: tls.existingSecret, name: {{ $values.tls.existingSecret }}, keys: [tls.crt, tls.key, ca.crt]}
{{- end }}
{{- if $values.models.tokenSecret }}
- {value: models.tokenSecret, name: {{ $values.models.tokenSecret }}, keys: [{{ $values.models.tokenSecretKey }}]}
{{- end }}
{{- range $values.image.pullSecrets }}
- {value: image.pullSecrets, name: {{ . }}, keys: []}
{{- end }}
{{- end -}}

{{- define "splitwiser.refuseSecrets" -}}
{{- range include "splitwiser.secrets" . | fromYamlArray -}}
{{- $wanted := . -}}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace .name -}}
{{- if not $secret -}}
{{- include "splitwiser.refuse" (dict "error" (printf "%s names the Secret %s, which is not in namespace %s" .value .name $.Release.Namespace) "help" "make it first, or correct the name") -}}
{{- end -}}
{{- range .keys -}}
{{- if not (hasKey ($secret.data | default dict) .) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "the Secret %s of %s has no key %s" $wanted.name $wanted.value .) "help" "add the key, or name another Secret") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseNodes" -}}
{{- $having := dict -}}
{{- $resource := .resource -}}
{{- range (lookup "v1" "Node" "" "").items -}}
{{- if gt (get .status.allocatable $resource | default "0" | int) 0 }}{{ $_ := set $having .metadata.name true }}{{ end -}}
{{- end -}}
{{- if not $having -}}
{{- include "splitwiser.refuse" (dict "error" (printf "no node offers %s, which each worker would ask for" $resource)
    "help" "install NVIDIA's device plugin, correct mps.devicePlugin.resourceName, or set clusterChecks=false where such nodes are started on demand") -}}
{{- end -}}
{{- end -}}
