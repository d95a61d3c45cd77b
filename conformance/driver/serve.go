package driver

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// maxOrder bounds the JSON of one Request.
const maxOrder = 1 << 20

// Handler serves the sender:
//
//	POST   /v1/send            a Request; the answer is a Report
//	GET    /v1/sessions/NAME   a Connection
//	DELETE /v1/sessions/NAME   closes it
//
// What is wrong with an order is answered with 400 and a line of text.
func (s *Sender) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/send", func(w http.ResponseWriter, r *http.Request) {
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		decoder.DisallowUnknownFields()
		var order Request
		if err := decoder.Decode(&order); err != nil {
			http.Error(w, fmt.Sprintf("the request: %v", err), http.StatusBadRequest)
			return
		}
		report, err := s.Send(r.Context(), &order)
		reply(w, report, err)
	})
	mux.HandleFunc("GET /v1/sessions/{name}", func(w http.ResponseWriter, r *http.Request) {
		state, err := s.Session(r.PathValue("name"))
		reply(w, state, err)
	})
	mux.HandleFunc("DELETE /v1/sessions/{name}", func(_ http.ResponseWriter, r *http.Request) {
		s.End(r.PathValue("name"))
	})
	return mux
}

func reply(w http.ResponseWriter, body any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // whoever has gone away needs no answer
}
