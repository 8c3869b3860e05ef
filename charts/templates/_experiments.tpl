{{/* Owns the pods of the image splitwiser-experiments: those of Jobs, and that of `helm test`. */}}

{{/* Takes root and entry, an item of experiments.run. */}}
{{- define "splitwiser.experimentPod" -}}
{{- $experiments := include "splitwiser.role" (dict "root" .root "role" "experiments") | fromYaml -}}
{{- $results := dict "name" "results" "mountPath" "/results" -}}
{{- $image := include "splitwiser.image" (dict "root" .root "image" $experiments.image) -}}
metadata:
  {{- $label := dict "splitwiser.io/experiment" .entry.name }}
  {{- include "splitwiser.podMetadata" (dict "root" .root "role" "experiments" "component" "experiment" "labels" $label) | nindent 2 }}
spec:
  {{- include "splitwiser.clientPod" .root | nindent 2 }}
  initContainers:
    {{- if $experiments.resultsHostPath }}
    - {{ include "splitwiser.handOver" (dict "root" .root "role" "experiments" "image" $image "mounts" (list $results) "mode" "0o755") | nindent 6 | trim }}
    {{- end }}
    - {{ include "splitwiser.client" (dict "root" .root "name" "await-router" "script" "files/await_router.py") | nindent 6 | trim }}
  containers:
    - name: experiment
      image: {{ $image }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - splitwiser.cli
        - experiment
        - run
        - {{ .entry.name }}
        {{- if .entry.quick }}
        - --quick
        {{- end }}
        - --endpoint={{ include "splitwiser.routerAddress" .root }}
        {{- /* A folder for each Job; its next pod goes on in it. A Job made again has the name of the one before. */}}
        - --out=/results/$(JOB)-$(JOB_UID)
        - --resume
        - --json
        {{- range concat (default list .entry.args) $experiments.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        - name: JOB
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}
        - name: JOB_UID
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']"}}
        {{- include "splitwiser.clientEnv" .root | nindent 8 }}
      {{- with $experiments.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      resources: {{- toYaml $experiments.resources | nindent 8 }}
      securityContext: {{- toYaml $experiments.securityContext | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        {{- include "splitwiser.clientMounts" .root | nindent 8 }}
        - {{ toJson $results }}
        {{- with $experiments.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "splitwiser.clientVolumes" .root | nindent 4 }}
    - name: results
      {{- if $experiments.resultsClaim }}
      persistentVolumeClaim: {claimName: {{ $experiments.resultsClaim }}}
      {{- else if $experiments.resultsHostPath }}
      hostPath: {path: {{ $experiments.resultsHostPath }}, type: DirectoryOrCreate}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- with $experiments.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "splitwiser.routerAddress" -}}
{{ include "splitwiser.fullname" . }}-router:50051
{{- end -}}

{{/* Everything of such a pod but containers and volumes. fsGroup lets it write to a claim. */}}
{{- define "splitwiser.clientPod" -}}
{{- $role := include "splitwiser.role" (dict "root" . "role" "experiments") | fromYaml -}}
{{- $security := merge $role.podSecurityContext (dict "fsGroup" ($role.podSecurityContext.runAsGroup | int64)) -}}
{{- $common := include "splitwiser.podCommon" (dict "root" . "role" "experiments") | fromYaml -}}
{{- merge (dict "securityContext" $security "restartPolicy" "Never") (omit $common "terminationGracePeriodSeconds") | toYaml -}}
{{- end -}}

{{/* A container that runs one script of files/. Takes root, name and script. */}}
{{- define "splitwiser.client" -}}
{{- $role := include "splitwiser.role" (dict "root" .root "role" "experiments") | fromYaml -}}
name: {{ .name }}
image: {{ include "splitwiser.image" (dict "root" .root "image" $role.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command:
  - python
  - -c
  - |
    {{- .root.Files.Get .script | trim | nindent 4 }}
env: {{- include "splitwiser.clientEnv" .root | nindent 2 }}
resources: {{- toYaml $role.resources | nindent 2 }}
securityContext: {{- toYaml $role.securityContext | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts: {{- include "splitwiser.clientMounts" .root | nindent 2 }}
{{- end -}}

{{- define "splitwiser.clientEnv" -}}
- {name: HOME, value: /tmp}
- {name: ROUTER, value: "{{ include "splitwiser.routerAddress" . }}"}
- {name: ENGINE, value: {{ .Values.engine }}}
{{- if .Values.router.http.enabled }}
- {name: HTTP_DOOR, value: "{{ ternary "https" "http" .Values.tls.enabled }}://{{ include "splitwiser.fullname" . }}-router:8000"}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: SPLITWISER_TLS__CERT_FILE, value: /etc/splitwiser/tls/tls.crt}
- {name: SPLITWISER_TLS__KEY_FILE, value: /etc/splitwiser/tls/tls.key}
- {name: SPLITWISER_TLS__CA_FILE, value: /etc/splitwiser/tls/ca.crt}
{{- end }}
{{- with (include "splitwiser.role" (dict "root" . "role" "experiments") | fromYaml).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "splitwiser.clientMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/splitwiser/tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "splitwiser.clientVolumes" -}}
- name: tmp
  emptyDir: {}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ .Values.tls.existingSecret }}}
{{- end }}
{{- end -}}
