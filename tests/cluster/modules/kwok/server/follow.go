package server

import (
	"context"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	crilogs "k8s.io/cri-client/pkg/logs"
)

// followLogs reads the logs of a container and stops following them when the container has ended.
//
// As it is, kwok follows for ever, and `kubectl logs --follow` of a Job never comes back.
func (s *Server) followLogs(ctx context.Context, podName, podNamespace, container, file string, options *crilogs.LogOptions, stdout, stderr io.Writer) error {
	if !options.Follow {
		return readLogs(ctx, file, options, stdout, stderr)
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		// The cache of pods fills when it is first asked: a pod that was never seen may still come.
		seen := false
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-following.Done():
				tick.Stop()
				return
			case <-tick.C:
				pod, found := s.podCacheGetter.GetWithNamespace(podName, podNamespace)
				if (seen && !found) || (found && hasEnded(pod, container)) {
					stop()
				}
				seen = seen || found
			}
		}
	}()
	err := readLogs(following, file, options, stdout, stderr)
	if following.Err() != nil {
		return nil
	}
	return err
}

func hasEnded(pod *corev1.Pod, container string) bool {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, status := range statuses {
			if status.Name == container {
				return status.State.Terminated != nil
			}
		}
	}
	return false
}
