{{/* Owns what the pods have in common: how they are hardened, placed and probed. */}}

{{/* A service's container. Takes root and role. */}}
{{- define "splitwiser.container" -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
{{- $ports := include "splitwiser.ports" . | fromYaml -}}
name: {{ .role }}
image: {{ include "splitwiser.roleImage" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{- include "splitwiser.args" . | nindent 2 }}
env: {{- include "splitwiser.env" . | nindent 2 }}
{{- with $role.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: {{ include "splitwiser.portName" (dict "root" .root "role" .role "port" "grpc") }}, containerPort: {{ $ports.grpc }}}
  - {name: {{ include "splitwiser.portName" (dict "root" .root "role" .role "port" "metrics") }}, containerPort: {{ $ports.metrics }}}
  {{- with $ports.http }}
  - {name: http, containerPort: {{ . }}}
  {{- end }}
{{- include "splitwiser.probes" (dict "probes" $role.probes "port" (default $ports.grpc $ports.health)) | nindent 0 }}
{{- with include "splitwiser.preStop" . }}
lifecycle:
  preStop: {{- . | nindent 4 }}
{{- end }}
resources: {{- include "splitwiser.resources" . | nindent 2 }}
securityContext: {{- toYaml $role.securityContext | nindent 2 }}
volumeMounts: {{- include "splitwiser.mounts" . | nindent 2 }}
{{- end -}}

{{/* What a role's values add to a container's environment. Takes the role's values. */}}
{{- define "splitwiser.extraEnv" -}}
{{- with .extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* In one pod the names of ports must differ, too. Takes root, role and port. */}}
{{- define "splitwiser.portName" -}}
{{- ternary (printf "%s-%s" .role .port) .port (and (eq .root.Values.topology "pod") (ne .role "router")) -}}
{{- end -}}

{{/* Readiness is the service's own word, health "". "liveness" depends on no peer, so that what a peer does restarts nobody. */}}
{{- define "splitwiser.probes" -}}
{{- $live := dict "port" .port "service" "liveness" -}}
{{- $timing := dict "timeoutSeconds" .probes.timeoutSeconds -}}
startupProbe: {{- merge (dict "grpc" $live "periodSeconds" 1 "failureThreshold" .probes.startupSeconds) $timing | toYaml | nindent 2 }}
{{- $timing = merge $timing (pick .probes "periodSeconds" "failureThreshold") }}
livenessProbe: {{- merge (dict "grpc" $live) $timing | toYaml | nindent 2 }}
readinessProbe: {{- merge (dict "grpc" (dict "port" .port)) $timing | toYaml | nindent 2 }}
{{- end -}}

{{/* What comes before SIGTERM. All containers of a pod are told to end at once; without their store the workers could not drain.
     Takes root and role. */}}
{{- define "splitwiser.preStop" -}}
{{- if and (eq .role "store") (eq .root.Values.topology "pod") -}}
exec:
  command:
    - python
    - -c
    - |
      {{- .root.Files.Get "files/await_workers.py" | trim | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* Labels and annotations of a pod. Takes root, role and component; labels and annotations add to them. */}}
{{- define "splitwiser.podMetadata" -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
labels:
  {{- /* No versions: a pod that stays the same stays up. */}}
  {{- include "splitwiser.selector" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with merge (deepCopy $role.podLabels) (default dict .labels) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (deepCopy $role.podAnnotations) (default dict .annotations) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Everything of a pod but its containers and volumes. Takes root and role. */}}
{{- define "splitwiser.podCommon" -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
serviceAccountName: {{ include "splitwiser.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext: {{- toYaml $role.podSecurityContext | nindent 2 }}
{{- with $role.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with $role.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $role.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "splitwiser.placement" . }}
{{- end -}}

{{/* Store, prefill and decode go to one node: workers to where one of the three is, the store to where a worker is. So the node is
     one that has the GPU, and a store that comes back comes back to its workers. Takes root and role. */}}
{{- define "splitwiser.placement" -}}
{{- $values := .root.Values -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
{{- $selector := $role.nodeSelector -}}
{{- $tolerations := $role.tolerations -}}
{{- $affinity := deepCopy $role.affinity -}}
{{- if has .role (list "store" "prefill" "decode" "mps") -}}
{{- $selector = merge (deepCopy $role.nodeSelector) $values.worker.nodeSelector -}}
{{- $tolerations = concat $values.worker.tolerations $role.tolerations -}}
{{- if eq $values.device "gpu" -}}
{{- $tolerations = append $tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- if and (eq $values.topology "pods") (ne .role "mps") -}}
{{- $affinity = include "splitwiser.withNode" (dict "root" .root "role" .role "affinity" $affinity) | fromYaml -}}
{{- end -}}
{{- end -}}
{{- with $selector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The given affinity and the term that keeps the three together. Takes root, role and affinity. */}}
{{- define "splitwiser.withNode" -}}
{{- $required := "requiredDuringSchedulingIgnoredDuringExecution" -}}
{{- $match := include "splitwiser.selector" (dict "root" .root "component" "") | fromYaml -}}
{{- $_ := unset $match "app.kubernetes.io/component" -}}
{{- $near := ternary (list "prefill" "decode") (list "store" "prefill" "decode") (eq .role "store") -}}
{{- $expression := dict "key" "app.kubernetes.io/component" "operator" "In" "values" $near -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $match "matchExpressions" (list $expression)) -}}
{{- $podAffinity := default dict .affinity.podAffinity -}}
{{- $terms := append (default list (get $podAffinity $required)) $term -}}
{{- set .affinity "podAffinity" (set $podAffinity $required $terms) | toYaml -}}
{{- end -}}

{{/* The volumes of a role's container. Takes root and role. */}}
{{- define "splitwiser.volumes" -}}
- name: {{ include "splitwiser.runVolume" . }}
  emptyDir: {}
- name: {{ include "splitwiser.tmpVolume" . }}
  emptyDir: {}
{{- with (include "splitwiser.role" . | fromYaml).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes that roles of one pod share. Takes root and roles. */}}
{{- define "splitwiser.sharedVolumes" -}}
- name: settings
  configMap: {name: {{ include "splitwiser.fullname" .root }}}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ .root.Values.tls.existingSecret }}}
{{- end }}
{{- if ne (first .roles) "router" }}
- name: socket
  {{- if eq .root.Values.topology "pod" }}
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- else }}
  hostPath: {path: {{ include "splitwiser.socketPath" .root }}, type: DirectoryOrCreate}
  {{- end }}
{{- end }}
{{- if or (ne (first .roles) "store") (gt (len .roles) 1) }}
{{- with include "splitwiser.modelsVolume" .root }}
- name: models
  {{- . | nindent 2 }}
{{- end }}
{{- end }}
{{- if and (eq (include "splitwiser.ownMps" .root) "true") (include "splitwiser.isWorker" (first .roles)) }}
{{ include "splitwiser.mpsVolumes" .root }}
{{- end }}
{{- end -}}

{{/* Hands folders on the node, which are root's when they are made, to the pods' user; or, where folders are named, those in them.
     Takes root, role, image, mounts, folders and mode. */}}
{{- define "splitwiser.handOver" -}}
{{- $role := include "splitwiser.role" . | fromYaml -}}
{{- $user := $role.podSecurityContext -}}
name: hand-over
image: {{ .image }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command:
  - python
  - -c
  - |
    import os, sys
    for folder in sys.argv[1:]:
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, {{ $user.runAsUser | int64 }}, {{ $user.runAsGroup | int64 }})
        os.chmod(folder, {{ default "0o700" .mode }})
  {{- range $mount := .mounts }}
  {{- range (default (list "") $.folders) }}
  - {{ trimSuffix "/" (printf "%s/%s" $mount.mountPath .) }}
  {{- end }}
  {{- end }}
resources: {{- toYaml $role.resources | nindent 2 }}
securityContext:
  runAsUser: 0
  runAsNonRoot: false
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL], add: [CHOWN, FOWNER]}
volumeMounts: {{- toYaml .mounts | nindent 2 }}
{{- end -}}

{{/* What comes before the services: the socket's folder gets its owner, and each cap passes the numeric gate. Takes root, roles. */}}
{{- define "splitwiser.initContainers" -}}
{{- $root := .root -}}
{{- if and (eq (first .roles) "store") (eq $root.Values.topology "pods") }}
{{- $mounts := list (dict "name" "socket" "mountPath" "/run/splitwiser-store") }}
{{- $image := include "splitwiser.roleImage" (dict "root" $root "role" "store") }}
- {{ include "splitwiser.handOver" (dict "root" $root "role" "store" "image" $image "mounts" $mounts) | nindent 2 | trim }}
{{- end }}
{{- range $role := .roles }}
{{- $percent := include "splitwiser.smPercent" (dict "root" $root "role" $role) }}
{{- if or (and $percent (lt ($percent | int) 100)) (include "splitwiser.partition" (dict "root" $root "role" $role)) }}
- {{ include "splitwiser.checkCap" (dict "root" $root "role" $role) | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The whole pod of some roles. Takes root, component and roles, the first of which says where and as whom it runs. */}}
{{- define "splitwiser.podTemplate" -}}
{{- $root := .root -}}
{{- $first := first .roles -}}
{{- $checksums := dict -}}
{{- range .roles -}}
{{- $_ := set $checksums (printf "checksum/%s-settings" .) (include "splitwiser.settingsChecksum" (dict "root" $root "role" .)) -}}
{{- end -}}
metadata:
  {{- include "splitwiser.podMetadata" (dict "root" $root "role" $first "component" .component "annotations" $checksums) | nindent 2 }}
spec:
  {{- include "splitwiser.podCommon" (dict "root" $root "role" $first) | nindent 2 }}
  {{- if gt (len .roles) 1 }}
  {{- /* So that the store sees a worker that hangs, and can end it before its pages are used again. */}}
  shareProcessNamespace: true
  {{- end }}
  {{- if and (eq $root.Values.device "gpu") (ne $first "router") }}
  {{- include "splitwiser.gpuPod" (dict "root" $root "roles" .roles) | nindent 2 }}
  {{- end }}
  {{- with include "splitwiser.initContainers" (dict "root" $root "roles" .roles) | trim }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    {{- range .roles }}
    - {{ include "splitwiser.container" (dict "root" $root "role" .) | nindent 6 | trim }}
      terminationMessagePolicy: FallbackToLogsOnError
    {{- end }}
  volumes:
    {{- include "splitwiser.sharedVolumes" (dict "root" $root "roles" .roles) | nindent 4 }}
    {{- range .roles }}
    {{- include "splitwiser.volumes" (dict "root" $root "role" .) | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What a pod with workers needs of its node. Takes root and roles. */}}
{{- define "splitwiser.gpuPod" -}}
{{- if or (gt (len .roles) 1) (include "splitwiser.isWorker" (first .roles)) -}}
{{- $class := .root.Values.worker.runtimeClassName -}}
{{- if eq .root.Values.mps.mode "daemonset" }}{{ $class = default .root.Values.mps.daemonset.runtimeClassName $class }}{{ end -}}
{{- with $class }}
runtimeClassName: {{ . }}
{{- end }}
{{- if include "splitwiser.dra" .root }}
resourceClaims:
  - {name: gpu, resourceClaimName: {{ include "splitwiser.fullname" .root }}-gpu}
{{- end }}
{{- end -}}
{{- end -}}
