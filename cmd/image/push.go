package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// push returns the image's name by its digest, which is what never moves. Its credentials are those that `docker login` and the like leave.
func push(ctx context.Context, image v1.Image, destination string) (string, error) {
	tag, err := name.NewTag(destination, name.StrictValidation)
	if err == nil && strings.Contains(destination, "://") {
		err = errors.New("it has no scheme") // would be read as the registry's port
	}
	if err != nil {
		return "", fmt.Errorf("%q is no place for an image, such as registry.example.com/envoy-circuit-breaker:1.0.0: %w", destination, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	err = remote.Write(tag, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if refused := new(transport.Error); errors.As(err, &refused) &&
		(refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden) {
		return "", fmt.Errorf("pushing to %s: %w (log in by `docker login %s`, or what your engine has for it)", tag, err, tag.RegistryStr())
	}
	if err != nil {
		return "", fmt.Errorf("pushing to %s: %w", tag, err)
	}
	return tag.Context().Digest(digest.String()).String(), nil
}
