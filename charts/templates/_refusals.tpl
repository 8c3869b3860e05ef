{{/* Owns what no cluster could run: each combination ends the rendering with its cause and what to do. */}}

{{- define "splitwiser.refuse" -}}
{{- fail (printf "\n\nerror: %s\nhelp: %s\n" .error .help) -}}
{{- end -}}

{{- define "splitwiser.refusals" -}}
{{- include "splitwiser.refuseEngine" . -}}
{{- include "splitwiser.refuseTopology" . -}}
{{- include "splitwiser.refuseUsers" . -}}
{{- include "splitwiser.refuseMounts" . -}}
{{- include "splitwiser.refuseServices" . -}}
{{- include "splitwiser.refuseLeaving" . -}}
{{- include "splitwiser.refuseSettings" . -}}
{{- include "splitwiser.refuseExperiments" . -}}
{{- if eq .Values.device "gpu" }}{{ include "splitwiser.refuseGpu" . }}{{ else }}{{ include "splitwiser.refuseCaps" . }}{{ end -}}
{{- if .Values.clusterChecks }}{{ include "splitwiser.refuseCluster" . }}{{ end -}}
{{- end -}}

{{- define "splitwiser.refuseEngine" -}}
{{- $values := .Values -}}
{{- if and (eq $values.engine "sim") (eq $values.device "gpu") -}}
{{- include "splitwiser.refuse" (dict "error" "engine sim computes on a CPU, and device is gpu" "help" "set device=cpu, or engine=vllm or transformers") -}}
{{- end -}}
{{- if and (ne $values.engine "sim") (not $values.model) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "engine %s has no model" $values.engine) "help" "set model to a Hugging Face id, or to a folder below /models") -}}
{{- end -}}
{{- if and $values.models.existingClaim $values.models.hostPath -}}
{{- include "splitwiser.refuse" (dict "error" "models.existingClaim and models.hostPath are both set" "help" "leave one of them empty") -}}
{{- end -}}
{{- if and (hasPrefix "/" $values.model) (not (include "splitwiser.modelsVolume" .)) -}}
{{- $mounts := concat $values.pods.extraVolumeMounts (default list $values.prefill.extraVolumeMounts) -}}
{{- if not $mounts -}}
{{- include "splitwiser.refuse" (dict "error" (printf "model %s is a folder, and no volume holds it" $values.model)
    "help" "set models.existingClaim or models.hostPath, which is mounted at /models, or give a Hugging Face id") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseTopology" -}}
{{- $values := .Values -}}
{{- if eq $values.topology "pod" -}}
{{- if or (ne ($values.prefill.replicas | int) 1) (ne ($values.decode.replicas | int) 1) -}}
{{- include "splitwiser.refuse" (dict "error" "topology pod is one pod with one prefill and one decode worker; prefill.replicas or decode.replicas is another"
    "help" "leave both at 1, or set topology=pods") -}}
{{- end -}}
{{- if $values.socket.hostPath -}}
{{- include "splitwiser.refuse" (dict "error" "topology pod keeps its socket in an emptyDir, and socket.hostPath is set" "help" "leave socket.hostPath empty, or set topology=pods") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseUsers" -}}
{{- $users := dict -}}
{{- range $role := list "store" "prefill" "decode" -}}
{{- $security := (include "splitwiser.role" (dict "root" $ "role" $role) | fromYaml) -}}
{{- $user := (ternary $security.securityContext $security.podSecurityContext (hasKey $security.securityContext "runAsUser")).runAsUser | int64 -}}
{{- if eq $user 0 -}}
{{- include "splitwiser.refuse" (dict "error" (printf "%s would run as root" $role) "help" "set pods.podSecurityContext.runAsUser to another user than 0") -}}
{{- end -}}
{{- $_ := set $users ($user | toString) $role -}}
{{- end -}}
{{- if gt (len $users) 1 -}}
{{- include "splitwiser.refuse" (dict "error" (printf "store, prefill and decode would run as different users: %s" (keys $users | sortAlpha | join ", "))
    "help" "set one runAsUser, in pods.podSecurityContext: MPS serves one user at a time, and the store accepts peers of its own user alone") -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseMounts" -}}
{{- $taken := list "/dev/shm" "/run/splitwiser" "/run/splitwiser-store" "/run/splitwiser-mps" "/etc/splitwiser" "/etc/splitwiser/settings.json" "/etc/splitwiser/tls" -}}
{{- range $role := list "router" "prefill" "decode" "store" -}}
{{- range (include "splitwiser.role" (dict "root" $ "role" $role) | fromYaml).extraVolumeMounts -}}
{{- if has (trimSuffix "/" .mountPath) $taken -}}
{{- include "splitwiser.refuse" (dict "error" (printf "%s.extraVolumeMounts: %s is not free" $role .mountPath)
    "help" "mount it elsewhere: the chart keeps its own files there, and /dev/shm belongs to the MPS daemon") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseServices" -}}
{{- $values := .Values -}}
{{- if and $values.redis.enabled $values.redis.external.url -}}
{{- include "splitwiser.refuse" (dict "error" "redis.enabled and redis.external.url are both set" "help" "set redis.enabled=false to use the external one, or leave its url empty") -}}
{{- end -}}
{{- if not (or $values.redis.enabled $values.redis.external.url) -}}
{{- include "splitwiser.refuse" (dict "error" "there is no Redis: redis.enabled is false and redis.external.url is empty" "help" "set one of them") -}}
{{- end -}}
{{- if regexMatch "//[^/]*@" $values.redis.external.url -}}
{{- include "splitwiser.refuse" (dict "error" "redis.external.url holds a password, which a ConfigMap would show" "help" "put it into a Secret, and name that in redis.existingSecret") -}}
{{- end -}}
{{- if and $values.redis.tls (not (and $values.redis.enabled $values.tls.enabled)) -}}
{{- include "splitwiser.refuse" (dict "error" "redis.tls is for the own Redis with the certificate of tls.existingSecret, and one of both is off"
    "help" "set redis.enabled and tls.enabled; an external Redis speaks TLS with an url of rediss://") -}}
{{- end -}}
{{- if and $values.tls.enabled (not $values.tls.existingSecret) -}}
{{- include "splitwiser.refuse" (dict "error" "tls.enabled is true and no Secret is named" "help" "set tls.existingSecret to a Secret with tls.crt, tls.key and ca.crt") -}}
{{- end -}}
{{- if and $values.otel.endpoint $values.otel.collector.enabled -}}
{{- include "splitwiser.refuse" (dict "error" "otel.endpoint and otel.collector.enabled are both set" "help" "leave one of them out: spans go to one collector") -}}
{{- end -}}
{{- end -}}

{{/* What would keep a pod from leaving, or its requests from ending before it does. */}}
{{- define "splitwiser.refuseLeaving" -}}
{{- $pdb := .Values.router.pdb -}}
{{- if and $pdb.enabled (not (kindIs "invalid" $pdb.minAvailable)) (ge ($pdb.minAvailable | int) (.Values.router.replicas | int)) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "router.pdb.minAvailable is %d of %d: no node of it could ever be drained" ($pdb.minAvailable | int) (.Values.router.replicas | int))
    "help" "lower it, raise router.replicas, or set router.pdb.enabled=false") -}}
{{- end -}}
{{- range $role := list "router" "prefill" "decode" -}}
{{- if lt (include "splitwiser.drainSeconds" (dict "root" $ "role" $role) | int) 1 -}}
{{- include "splitwiser.refuse" (dict "error" (printf "the terminationGracePeriodSeconds of %s leave requests in flight no time to end" $role)
    "help" "raise them above 5, a router's above router.lameDuckSeconds + 5, by as long as an answer takes") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseSettings" -}}
{{- $own := include "splitwiser.ownSettings" . | fromYaml -}}
{{- range $section, $fields := .Values.settings -}}
{{- if not (kindIs "map" $fields) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "settings.%s is no section" $section) "help" "give settings as {SECTION: {NAME: VALUE}}, as docs/configuration.md lists them") -}}
{{- end -}}
{{- range $name, $_ := $fields -}}
{{- $owned := get $own $section -}}
{{- if and (kindIs "map" $owned) (hasKey $owned $name) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "settings.%s.%s is the chart's to set" $section $name) "help" "set the value of the chart that it comes from; values.yaml has them all") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "splitwiser.refuseExperiments" -}}
{{- if and .Values.experiments.resultsClaim .Values.experiments.resultsHostPath -}}
{{- include "splitwiser.refuse" (dict "error" "experiments.resultsClaim and experiments.resultsHostPath are both set" "help" "leave one of them empty") -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.experiments.run -}}
{{- if hasKey $seen (toJson .) -}}
{{- include "splitwiser.refuse" (dict "error" (printf "experiments.run has %s twice" .name) "help" "give each entry once") -}}
{{- end -}}
{{- $_ := set $seen (toJson .) true -}}
{{- end -}}
{{- end -}}
