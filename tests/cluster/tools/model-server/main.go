// Command model-server answers like an inference server that speaks the OpenAI API, without a
// model: the answer to a prompt is always the same. Every port of every fake pod leads to it.
//
//	model-server ADDRESS MODELS REQUESTS
//
// The file MODELS, which need not exist, holds the names that /v1/models lists, in any white space;
// it is read at each request. A model that was asked for by a completion is listed from then on.
//
// One line of JSON for each request (time, method, host, path, model) is appended to the file
// REQUESTS, so that a test can tell what was asked. Bodies and headers are never written there.
//
// It also serves as an HTTP proxy that answers every absolute URL itself: a command that
// `kubectl exec` runs can ask for http://SERVICE.NAMESPACE.svc:PORT/v1/models.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// anyModel is listed when no name is known.
const anyModel = "test-model"

type server struct {
	mutex    sync.Mutex
	asked    []string
	models   string
	requests *os.File
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: model-server ADDRESS MODELS REQUESTS")
	}
	requests, err := os.OpenFile(os.Args[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{models: os.Args[2], requests: requests}
	log.Fatal(http.ListenAndServe(os.Args[1], s))
}

type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"`
}

type request struct {
	Model     string    `json:"model"`
	Prompt    any       `json:"prompt"`
	Messages  []message `json:"messages"`
	MaxTokens int       `json:"max_tokens"`
	Stream    bool      `json:"stream"`
}

// ServeHTTP matches the path by hand: the mux of the standard library would answer a proxy's
// request for `http://service` (no path) with a redirect.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked request
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			s.note(r, "")
			fail(w, http.StatusBadRequest, "the body is not JSON: "+err.Error())
			return
		}
	}
	s.note(r, asked.Model)

	path := r.URL.Path
	// The route of a gateway takes the prefix of its model away; nothing else does so here.
	if i := strings.Index(path, "/v1/"); i > 0 {
		path = path[i:]
	}
	switch r.Method + " " + path {
	case "GET /health", "GET /healthz", "GET /ping", "HEAD /health":
		w.WriteHeader(http.StatusOK)
	case "GET /v1/models":
		s.listModels(w)
	case "GET /metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintln(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0")
	case "POST /v1/completions":
		s.complete(w, asked, false)
	case "POST /v1/chat/completions":
		s.complete(w, asked, true)
	default:
		fail(w, http.StatusNotFound, r.Method+" "+r.URL.Path+" is not served")
	}
}

func (s *server) note(r *http.Request, model string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if model != "" && !slices.Contains(s.asked, model) {
		s.asked = append(s.asked, model)
	}
	line, _ := json.Marshal(map[string]string{
		"time":   time.Now().UTC().Format(time.RFC3339Nano),
		"method": r.Method,
		"host":   r.Host,
		"path":   r.URL.Path,
		"model":  model,
	})
	s.requests.Write(append(line, '\n'))
}

func (s *server) listModels(w http.ResponseWriter) {
	var names []string
	if text, err := os.ReadFile(s.models); err == nil {
		names = strings.Fields(string(text))
	}
	s.mutex.Lock()
	names = append(names, s.asked...)
	s.mutex.Unlock()
	if len(names) == 0 {
		names = []string{anyModel}
	}
	data := []map[string]any{}
	for i, name := range names {
		if !slices.Contains(names[:i], name) {
			data = append(data, map[string]any{"id": name, "object": "model", "created": 0, "owned_by": "llmdbench-cluster"})
		}
	}
	write(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

// complete answers with as many words as tokens were asked for, 16 at most.
func (s *server) complete(w http.ResponseWriter, asked request, chat bool) {
	if asked.Model == "" {
		fail(w, http.StatusBadRequest, "`model` is missing")
		return
	}
	if chat && len(asked.Messages) == 0 {
		fail(w, http.StatusBadRequest, "`messages` is missing")
		return
	}
	if !chat && asked.Prompt == nil {
		fail(w, http.StatusBadRequest, "`prompt` is missing")
		return
	}
	words := asked.MaxTokens
	if words <= 0 || words > 16 {
		words = 16
	}
	if asked.Stream {
		stream(w, asked.Model, words, chat)
		return
	}
	text := strings.TrimSpace(strings.Repeat(" word", words))
	prompt := promptWords(asked)
	answer := frame(asked.Model, chat, map[bool]string{true: "chat.completion", false: "text_completion"}[chat])
	choice := map[string]any{"index": 0, "finish_reason": "length"}
	if chat {
		choice["message"] = map[string]string{"role": "assistant", "content": text}
	} else {
		choice["text"] = text
	}
	answer["choices"] = []any{choice}
	answer["usage"] = map[string]int{"prompt_tokens": prompt, "completion_tokens": words, "total_tokens": prompt + words}
	write(w, http.StatusOK, answer)
}

func stream(w http.ResponseWriter, model string, words int, chat bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range words {
		chunk := frame(model, chat, map[bool]string{true: "chat.completion.chunk", false: "text_completion"}[chat])
		choice := map[string]any{"index": 0, "finish_reason": nil}
		if i == words-1 {
			choice["finish_reason"] = "length"
		}
		if chat {
			choice["delta"] = map[string]string{"role": "assistant", "content": "word "}
		} else {
			choice["text"] = "word "
		}
		chunk["choices"] = []any{choice}
		line, _ := json.Marshal(chunk)
		fmt.Fprintf(w, "data: %s\n\n", line)
		w.(http.Flusher).Flush()
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func frame(model string, chat bool, object string) map[string]any {
	id := "cmpl-0"
	if chat {
		id = "chatcmpl-0"
	}
	return map[string]any{"id": id, "object": object, "created": time.Now().Unix(), "model": model}
}

func promptWords(asked request) int {
	text := fmt.Sprint(asked.Prompt)
	if asked.Prompt == nil {
		text = ""
		for _, each := range asked.Messages {
			text += fmt.Sprint(" ", each.Content)
		}
	}
	return len(strings.Fields(text))
}

func fail(w http.ResponseWriter, code int, text string) {
	write(w, code, map[string]any{"error": map[string]any{"message": text, "type": "invalid_request_error", "code": code}})
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}
