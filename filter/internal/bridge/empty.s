// This file lets the compiler accept the body-less, linknamed function of gc.go.
