package registryd

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// targetsAt reads targets, by address.
func targetsAt(t *testing.T, url string) map[string]map[string]string {
	t.Helper()
	got := ask(t, "GET", url, "")
	require.Equal(t, 200, got.status, got.reason)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	return targetsIn(t, []byte(got.body))
}

func targetsIn(t *testing.T, text []byte) map[string]map[string]string {
	t.Helper()
	var groups []targetGroup
	require.NoError(t, json.Unmarshal(text, &groups))
	found := map[string]map[string]string{}
	for _, group := range groups {
		require.Len(t, group.Targets, 1)
		found[group.Targets[0]] = group.Labels
		for name := range group.Labels {
			require.True(t, model.LegacyValidation.IsValidLabelName(name), name)
		}
	}
	require.Len(t, found, len(groups))
	return found
}

func putServices(t *testing.T, url string) {
	t.Helper()
	for path, body := range map[string]string{
		"web/a":   `{"host":"10.0.0.5","private_host":"a.internal","ports":{"http":{"number":80},"metrics":{"number":9100}},"tags":["blue","eu"],"shard":"s0","critical":true,"user":"u","password":"canary","metadata":{"app.version":"1.2","app-version":"1.3","région":"x"}}`,
		"web/b":   `{"host":"fd00::12","ports":{"metrics":{"number":9100}},"state":"failing"}`,
		"web/c":   `{"host":"10.0.0.7","ports":{"metrics":{"number":9100}},"state":"draining"}`,
		"dns/a":   `{"host":"10.0.0.8","ports":{"dns":{"number":53,"protocol":"udp"},"metrics":{"number":9153}},"state":"starting"}`,
		"none/a":  `{"host":"10.0.0.9"}`,
		"odd%2F/": `{"host":"h"}`,
	} {
		if status := ask(t, "PUT", url+"/services/"+path+"?ttl=1h", body).status; !strings.HasSuffix(path, "/") {
			require.Equal(t, 200, status, path)
		}
	}
}

func TestPrometheus(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, "[]\n", ask(t, "GET", url+"/prometheus", "").body)
	putServices(t, url)
	for i, record := range []string{ // that HTTP does not let in
		`{"host":"no host","ports":{"http":{"number":80}}}`, `{"host":"h","ports":{"http":{"number":70000}}}`, `{"host":"h","ports":{"`,
		`{"ports":{"http":{"number":80}}}`,
	} {
		_, err := etcdClient(t, url).Put(t.Context(), fmt.Sprint("/envharness/services/bad/", i), record)
		require.NoError(t, err)
	}
	addresses := func(query string) string {
		var all []string
		for address := range targetsAt(t, url+"/prometheus"+query) {
			all = append(all, address)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	require.Equal(t, "10.0.0.5:80 10.0.0.5:9100 10.0.0.7:9100 10.0.0.8:9153 [fd00::12]:9100", addresses(""))
	require.Equal(t, "10.0.0.5:9100 10.0.0.7:9100 [fd00::12]:9100", addresses("?service=web&port=metrics"))
	require.Equal(t, "10.0.0.5:80 10.0.0.5:9100 10.0.0.7:9100 10.0.0.8:9153 [fd00::12]:9100", addresses("?service=web&service=dns&service=web"))
	require.Equal(t, "10.0.0.5:80", addresses("?port=http&port=dns"))
	require.Equal(t, "", addresses("?service=nobody"))
	all := targetsAt(t, url+"/prometheus")
	require.Equal(t, map[string]string{
		"__meta_envharness_service": "web", "__meta_envharness_id": "a", "__meta_envharness_port": "metrics", "__meta_envharness_state": "passing",
		"__meta_envharness_shard": "s0", "__meta_envharness_tags": ",blue,eu,", "__meta_envharness_private_host": "a.internal",
		"__meta_envharness_critical": "true", "__meta_envharness_public": "false",
		"__meta_envharness_metadata_app_version": "1.3", "__meta_envharness_metadata_r_gion": "x",
	}, all["10.0.0.5:9100"])
	require.Equal(t, "failing", all["[fd00::12]:9100"]["__meta_envharness_state"])
	require.NotContains(t, ask(t, "GET", url+"/prometheus", "").body, "canary")

	refused(t, 400, ask(t, "GET", url+"/prometheus?services=web", ""))
	refused(t, 400, ask(t, "GET", url+"/prometheus?service=", ""))
	refused(t, 400, ask(t, "GET", url+"/prometheus?service=x"+manyServices(), ""))
	refused(t, 405, ask(t, "POST", url+"/prometheus", ""))
	refused(t, 404, ask(t, "GET", url+"/prometheus/web", ""))
}

func manyServices() string {
	var query strings.Builder
	for i := range mostTargetServices {
		fmt.Fprintf(&query, "&service=s%d", i)
	}
	return query.String()
}

// TestPrometheusReads is Prometheus' own code, which reads and judges the answer.
func TestPrometheusReads(t *testing.T) {
	reader := testservers.PrometheusTargets(t)
	_, url := start(t, Options{})
	read := func() map[string]map[string]string {
		t.Helper()
		output, err := exec.Command(reader, url+"/prometheus").Output()
		require.NoError(t, err)
		return targetsIn(t, output)
	}
	require.Empty(t, read())
	putServices(t, url)
	found := read()
	require.Len(t, found, 5)
	require.Equal(t, ",blue,eu,", found["10.0.0.5:80"]["__meta_envharness_tags"])
	require.Equal(t, url+"/prometheus", found["[fd00::12]:9100"]["__meta_url"])
}

// gauges reads /metrics as Prometheus does, and gives our families by name.
func gauges(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	values := map[string]float64{}
	for name, family := range families {
		if !strings.HasPrefix(name, "envdiscoverd_") {
			continue // etcd's own, and it does not follow all conventions
		}
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{family}).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		for _, metric := range family.Metric {
			key := name
			for _, label := range metric.Label {
				key += " " + label.GetValue()
			}
			values[key] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

func TestGauges(t *testing.T) {
	_, url := start(t, Options{})
	read := func() map[string]float64 { return gauges(t, ask(t, "GET", url+"/metrics", "").body) }
	first := read()
	for name, want := range map[string]float64{"envdiscoverd_services": 0, "envdiscoverd_values": 0, "envdiscoverd_instances failing": 0, "envdiscoverd_watchers watch": 0} {
		got, there := first[name]
		require.True(t, there, name)
		require.Equal(t, want, got, name)
	}
	putServices(t, url)
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "canary").status)
	_, err := etcdClient(t, url).Put(t.Context(), "/envharness/services/odd/a", `{"host":"h","state":"whatever"}`)
	require.NoError(t, err)
	watchEvents(t, url+"/watch").next(t)
	for range 2 { // the second is not counted anew
		second := read()
		require.Equal(t, 4.0, second["envdiscoverd_services"])
		require.Equal(t, 1.0, second["envdiscoverd_values"])
		require.Equal(t, 2.0, second["envdiscoverd_instances passing"])
		require.Equal(t, 1.0, second["envdiscoverd_instances failing"])
		require.Equal(t, 1.0, second["envdiscoverd_instances starting"])
		require.Equal(t, 1.0, second["envdiscoverd_instances draining"])
		require.Equal(t, 1.0, second["envdiscoverd_instances other"])
		require.Equal(t, 1.0, second["envdiscoverd_watchers watch"])
	}
	require.Equal(t, 204, ask(t, "DELETE", url+"/services/web/b", "").status)
	require.Equal(t, 0.0, read()["envdiscoverd_instances failing"])
	require.NotContains(t, ask(t, "GET", url+"/metrics", "").body, "canary")
}

// TestGaugesRights: what a caller may not read is not counted, and the rest is there.
func TestGaugesRights(t *testing.T) {
	_, url := guarded(t, Options{})
	some := gauges(t, as(t, "web", "webpw", "GET", url+"/metrics", "").body)
	require.NotContains(t, some, "envdiscoverd_services")
	require.Contains(t, some, "envdiscoverd_connections")
	require.Contains(t, gauges(t, as(t, "root", "rootpw", "GET", url+"/metrics", "").body), "envdiscoverd_services")
	refused(t, 403, as(t, "web", "webpw", "GET", url+"/prometheus", ""))
}
