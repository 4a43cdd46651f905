{{- define "tokenwatch.name" -}}
{{- if contains "tokenwatch" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-tokenwatch" (.Release.Name | trunc 38 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- /* Of a dictionary {root, component}: what selects pods; never changes within a release. */ -}}
{{- define "tokenwatch.selector" -}}
app.kubernetes.io/name: tokenwatch
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tokenwatch.labels" -}}
{{ include "tokenwatch.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tokenwatch
{{- end }}

{{- /* Of a dictionary {root, image}. */ -}}
{{- define "tokenwatch.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "tokenwatch.collectorService" -}}
{{ include "tokenwatch.name" . }}-collector.{{ .Release.Namespace }}.svc
{{- end }}
