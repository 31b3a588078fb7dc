// This file lets the compiler accept the body-less, linknamed functions of sdk.go.
