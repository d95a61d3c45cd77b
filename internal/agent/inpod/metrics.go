package inpod

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

const (
	// scrapeTimeout bounds what is asked of Envoy and of the application, whose
	// answers are gathered at the same time.
	scrapeTimeout = 5 * time.Second
	// maxScrape bounds an answer, in bytes.
	maxScrape = 16 << 20
	// maxScrapes is how many are served at a time, and maxOfOne how many of one peer.
	maxScrapes, maxOfOne = 6, 2
)

// reserved begin the names of series that no application may give out: they are
// the mesh's word.
var reserved = []string{"smi_", "envoy_"}

// scrapes answers /metrics with everything that there is about the pod. What one
// of the sources cannot tell is missing; smi_scrape_up tells that it is.
func (p *Pod) scrapes() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(p.metrics,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "smi_certificate_expiry_timestamp_seconds", Help: "When the pod's certificate ends; 0 while there is none."}, func() float64 {
			svid, _ := p.agent.Identity()
			if svid == nil {
				return 0
			}
			return float64(svid.ExpiresAt.Unix())
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "smi_envoy_restarts_total", Help: "How often Envoy ended by itself and was started again."}, func() float64 {
			return float64(p.restarts.Load())
		}),
	)
	slots := newSlots(maxScrapes, maxOfOne)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		free, ok := slots.take(r)
		if !ok {
			http.Error(w, "too many scrapes at a time", http.StatusServiceUnavailable)
			return
		}
		defer free()
		ctx, cancel := context.WithTimeout(r.Context(), scrapeTimeout)
		defer cancel()
		gatherers := append(prometheus.Gatherers{registry}, p.scrape(ctx)...)
		promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
	return mux
}

// source is somebody else's series, as Prometheus' text.
type source struct {
	name string
	get  func(context.Context) ([]byte, error)
	// foreign tells that the mesh does not answer for what it says.
	foreign bool
}

func (p *Pod) sources() []source {
	all := []source{{name: "envoy", get: func(ctx context.Context) ([]byte, error) { return p.agent.Admin().Get(ctx, "/stats/prometheus") }}}
	if get := p.options.Settings.ApplicationMetrics; get != nil {
		all = append(all, source{name: "application", foreign: true, get: func(ctx context.Context) ([]byte, error) { return p.app.scrape(ctx, get) }})
	}
	return all
}

// scrape asks all sources at once.
func (p *Pod) scrape(ctx context.Context) prometheus.Gatherers {
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "smi_scrape_up", Help: "Whether Envoy and the application gave their series."}, []string{"source"})
	status := prometheus.NewRegistry()
	status.MustRegister(up)
	sources := p.sources()
	found := make(prometheus.Gatherers, len(sources), len(sources)+1)
	var asked sync.WaitGroup
	for i, s := range sources {
		asked.Go(func() {
			families, err := s.families(ctx)
			if err != nil {
				p.options.Logger.Debug("a source gave no series", "source", s.name, "error", err)
				families = nil
				up.WithLabelValues(s.name).Set(0)
			} else {
				up.WithLabelValues(s.name).Set(1)
			}
			found[i] = prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
		})
	}
	asked.Wait()
	return append(found, status)
}

func (s *source) families(ctx context.Context) ([]*dto.MetricFamily, error) {
	text, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	families := make([]*dto.MetricFamily, 0, len(parsed))
	for name, family := range parsed {
		if s.foreign && slices.ContainsFunc(reserved, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		families = append(families, family)
	}
	return families, nil
}

// scrape asks the application.
func (d *dialer) scrape(ctx context.Context, get *corev1.HTTPGetAction) ([]byte, error) {
	request, err := newRequest(ctx, get, d)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := (&http.Client{Transport: d.transport(), CheckRedirect: sameHost}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the application answered GET %s with %d", request.URL.Path, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxScrape+1))
	if err == nil && len(text) > maxScrape {
		err = fmt.Errorf("the application's answer is longer than %d bytes", maxScrape)
	}
	return text, err
}
