package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

// review is what of an AdmissionReview (admission.k8s.io/v1) is read and answered.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *question `json:"request,omitempty"`
	Response   *verdict  `json:"response,omitempty"`
}

type question struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

type verdict struct {
	UID     string  `json:"uid"`
	Allowed bool    `json:"allowed"`
	Status  *reason `json:"status,omitempty"`
	// Warnings reach whoever made the object.
	Warnings []string `json:"warnings,omitempty"`
}

type reason struct {
	Message string `json:"message"`
}

// admit answers an API server that asks whether an object may be: only the name
// counts, so that both answers can be seen.
func (s *server) admit(w http.ResponseWriter, r *http.Request) {
	var asked review
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, err)
		return
	}
	if asked.Request == nil {
		http.Error(w, "the review has no request", http.StatusBadRequest)
		return
	}
	answer := &verdict{UID: asked.Request.UID, Allowed: true, Warnings: []string{"admitted by " + s.cfg.who.Pod}}
	if strings.HasPrefix(asked.Request.Name, "refused") {
		answer.Allowed, answer.Status, answer.Warnings = false, &reason{"refused by " + s.cfg.who.Pod}, nil
	}
	writeJSON(w, http.StatusOK, review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: answer})
}
