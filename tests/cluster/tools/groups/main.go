// Command groups plays the controller of LeaderWorkerSets: it makes their pods, by a StatefulSet of the leaders
// and one of the workers of each group, and says in the status how many groups are ready.
//
//	groups SERVER CA TOKENS
//
// TOKENS is the file of the API server's tokens; the first is used. Rollouts, restarts of groups, exclusive
// topology and the variables that the real controller adds to containers are left out.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	kinds   = "/apis/leaderworkerset.x-k8s.io/v1"
	sets    = "/apis/apps/v1"
	label   = "leaderworkerset.sigs.k8s.io/"
	manager = "fieldManager=llmdbench-groups&force=true"
)

type object = map[string]any

type api struct {
	server, token string
	client        *http.Client
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: groups SERVER CA TOKENS")
	}
	authority, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	token, _, _ := strings.Cut(string(tokens), ",")
	a := api{os.Args[1], token, &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
	}}
	for ; ; time.Sleep(500 * time.Millisecond) {
		if err := a.round(); err != nil {
			log.Print(err)
		}
	}
}

func (a api) call(method, path, kind string, body any) (object, int, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, 0, err
	}
	request, err := http.NewRequest(method, a.server+path, bytes.NewReader(text))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", kind)
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode >= 300 {
		return nil, answer.StatusCode, fmt.Errorf("%s %s: %s", method, path, said)
	}
	found := object{}
	return found, answer.StatusCode, json.Unmarshal(said, &found)
}

// round looks at every LeaderWorkerSet once. Where the kind is not served there is nothing to do.
func (a api) round() error {
	found, code, err := a.call("GET", kinds+"/leaderworkersets", "application/json", nil)
	if code == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	items, _ := found["items"].([]any)
	for _, item := range items {
		set := item.(object)
		if at(set, "metadata", "deletionTimestamp") != nil {
			continue
		}
		if err := a.reconcile(set); err != nil {
			log.Print(err)
		}
	}
	return nil
}

func (a api) reconcile(set object) error {
	name, space := at(set, "metadata", "name").(string), at(set, "metadata", "namespace").(string)
	groups, size := number(at(set, "spec", "replicas"), 1), number(at(set, "spec", "leaderWorkerTemplate", "size"), 1)
	workers := at(set, "spec", "leaderWorkerTemplate", "workerTemplate")
	leaders := at(set, "spec", "leaderWorkerTemplate", "leaderTemplate")
	if leaders == nil {
		leaders = workers
	}
	leader, err := a.apply(set, space, name, leaders, groups, 0, object{label + "name": name, label + "worker-index": "0"})
	if err != nil {
		return err
	}
	ready := number(at(leader, "status", "readyReplicas"), 0)
	for group := 0; size > 1; group++ {
		each := fmt.Sprintf("%s-%d", name, group)
		if group >= groups {
			path := fmt.Sprintf("%s/namespaces/%s/statefulsets/%s", sets, space, each)
			if _, code, err := a.call("DELETE", path, "application/json", nil); code == http.StatusNotFound {
				break
			} else if err != nil {
				return err
			}
			continue
		}
		labels := object{label + "name": name, label + "group-index": fmt.Sprint(group)}
		made, err := a.apply(set, space, each, workers, size-1, 1, labels)
		if err != nil {
			return err
		}
		if number(at(made, "status", "readyReplicas"), 0) < size-1 && ready > group {
			ready = group
		}
	}
	return a.report(set, space, name, groups, ready)
}

// apply makes a StatefulSet that goes with the LeaderWorkerSet.
func (a api) apply(set object, space, name string, template any, replicas, start int, labels object) (object, error) {
	var pod object
	text, _ := json.Marshal(template)
	if err := json.Unmarshal(text, &pod); err != nil {
		return nil, err
	}
	metadata, _ := pod["metadata"].(object)
	if metadata == nil {
		metadata = object{}
	}
	all, _ := metadata["labels"].(object)
	if all == nil {
		all = object{}
	}
	for key, value := range labels {
		all[key] = value
	}
	metadata["labels"] = all
	pod["metadata"] = metadata
	made, _, err := a.call("PATCH", fmt.Sprintf("%s/namespaces/%s/statefulsets/%s?%s", sets, space, name, manager), "application/apply-patch+yaml", object{
		"apiVersion": "apps/v1",
		"kind":       "StatefulSet",
		"metadata": object{"name": name, "labels": labels, "ownerReferences": []object{{
			"apiVersion": set["apiVersion"], "kind": "LeaderWorkerSet", "name": at(set, "metadata", "name"),
			"uid": at(set, "metadata", "uid"), "controller": true,
		}}},
		"spec": object{
			"replicas": replicas, "podManagementPolicy": "Parallel", "serviceName": at(set, "metadata", "name"),
			"ordinals": object{"start": start}, "selector": object{"matchLabels": labels}, "template": pod,
		},
	})
	return made, err
}

func (a api) report(set object, space, name string, groups, ready int) error {
	state := map[bool]string{true: "True", false: "False"}[ready == groups]
	conditions, _ := at(set, "status", "conditions").([]any)
	for _, each := range conditions {
		same := number(at(set, "status", "readyReplicas"), 0) == ready && number(at(set, "status", "replicas"), 0) == groups
		if c := each.(object); same && c["type"] == "Available" && c["status"] == state {
			return nil
		}
	}
	_, _, err := a.call("PATCH", fmt.Sprintf("%s/namespaces/%s/leaderworkersets/%s/status", kinds, space, name), "application/merge-patch+json", object{"status": object{
		"replicas": groups, "readyReplicas": ready, "updatedReplicas": groups,
		"conditions": []object{{
			"type": "Available", "status": state, "reason": "Simulated", "message": "simulated",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}},
	}})
	return err
}

// at follows keys into an object; nil where one is not there.
func at(value any, keys ...string) any {
	for _, key := range keys {
		inside, ok := value.(object)
		if !ok {
			return nil
		}
		value = inside[key]
	}
	return value
}

func number(value any, otherwise int) int {
	if n, ok := value.(float64); ok {
		return int(n)
	}
	return otherwise
}
